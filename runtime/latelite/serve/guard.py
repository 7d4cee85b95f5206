"""Who may ask: the checks before every request, and the headers after it."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from latelite.serve.answers import RequestError, error_answer

logger = logging.getLogger(__name__)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN_TO_ALL = frozenset({"/healthz"})
_WITHOUT_TOKEN = re.compile(r"/(page/[^/]*)?")
"""The page itself holds nothing secret; it asks for the token."""
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?")

HEADERS = {
    # Nothing is fetched from elsewhere, no script runs but the page's own modules, and no text becomes markup.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Args:
        token: that requests carry as ``Authorization: Bearer <token>``.
        every: whether every request needs the token, and not only one that writes.
        host: the address that the server listens on.
        names: under which clients may also call this server.
    """

    token: str | None = None
    every: bool = False
    host: str = "127.0.0.1"
    names: frozenset[str] = field(default_factory=frozenset)

    def knows_host(self, header: str | None) -> bool:
        """Whether a Host header names this server.

        A page elsewhere can let its own name resolve to this machine (DNS rebinding) and would then be served as if it
        were ours; its Host header gives it away. An IP address cannot be rebound, so where other machines may ask, any
        is good.
        """
        found = _HOST.fullmatch(header or "")
        if not found:
            return False
        name = (found[1] or found[2]).lower().removesuffix(".")
        if name in LOOPBACK_NAMES or name == self.host.lower() or name in self.names:
            return True
        if is_loopback(self.host):
            return False
        return _is_address(name) or name in own_names()

    def has_token(self, header: str | None) -> bool:
        """Whether an Authorization header carries the token."""
        kind, _, given = (header or "").partition(" ")
        return (
            self.token is not None
            and kind.lower() == "bearer"
            and hmac.compare_digest(given.strip().encode(), self.token.encode())
        )


def own_names() -> frozenset[str]:
    """What other machines on the network call this one."""
    name = socket.gethostname().lower()
    return frozenset({name, f"{name.partition('.')[0]}.local"})


def access(
    host: str = "127.0.0.1", *, token: str | None = None, names: Iterable[str] = (), write: bool = False
) -> Access:
    """The rules for an address.

    Raises:
        ValueError: the address or writing needs a token and there is none; or a token cannot be sent in a header.
    """
    names = frozenset(name.lower() for name in names)
    every = not is_loopback(host) or bool(names)
    if token is not None and not re.fullmatch(r"[!-~]{8,}", token):
        raise ValueError("The token must have at least 8 characters, all of them visible ASCII.")
    if every and token is None:
        raise ValueError(
            f"Others could reach {', '.join([host, *sorted(names)])} and would need a token: "
            "give one by the environment variable LATELITE_TOKEN or by --token."
        )
    if write and token is None:
        raise ValueError("--write needs a token: give one by the environment variable LATELITE_TOKEN or by --token.")
    return Access(token=token, every=every, host=host, names=names)


class Guard:
    """ASGI middleware around everything.

    Args:
        app: what answers the requests that may pass.
        access: who may ask.
        count: told of every answer: route, method, status, seconds.
    """

    def __init__(self, app: ASGIApp, access: Access, count: Callable[[str, str, int, float], None]) -> None:
        self._app = app
        self._access = access
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"the server speaks HTTP, not {scope['type']}")
        start = time.perf_counter()
        status = 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, send_guarded)
        except RequestError as error:
            await error_answer(error)(scope, receive, send_guarded)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if status == 0:
                failed = RequestError(500, "The server failed to answer; its log says why.")
                await error_answer(failed)(scope, receive, send_guarded)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "PUT", "DELETE"} else "other"
            self._count(route, method, status, time.perf_counter() - start)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if not self._access.knows_host(headers.get("host")):
            raise RequestError(
                400, "The Host header does not name this server; start it with --allow-host NAME to use another name."
            )
        path = scope["path"]
        if _comes_from_elsewhere(headers) and not _is_visit(scope, headers):
            raise RequestError(403, "Pages of other origins may not use this server.")
        if path in _OPEN_TO_ALL or (scope["method"] in {"GET", "HEAD"} and _WITHOUT_TOKEN.fullmatch(path)):
            return
        writes = scope["method"] in {"PUT", "DELETE", "PATCH"}
        needs_token = self._access.token is not None and (self._access.every or writes)
        if needs_token and not self._access.has_token(headers.get("authorization")):
            raise RequestError(
                401, "Send the server's token: Authorization: Bearer TOKEN.", {"www-authenticate": "Bearer"}
            )


def _comes_from_elsewhere(headers: Headers) -> bool:
    """Whether a browser says that another site's page sent the request."""
    if headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Whether somebody followed a link to the page."""
    return scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate" and scope["path"] == "/"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
