"""Messages of the Model Context Protocol: JSON-RPC 2.0, in both generations of the protocol.

Up to 2025-11-25 a client introduces itself once, by ``initialize``. From 2026-07-28 on there is no such handshake:
every request carries its version and the client's capabilities in ``_meta``, and ``server/discover`` tells what there
is. Which generation a request belongs to is read from the request alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from latelite import __version__

logger = logging.getLogger(__name__)

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS_VERSIONS = ("2026-07-28",)

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
UNSUPPORTED_VERSION = -32022

_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
_SERVER_KEY = "io.modelcontextprotocol/serverInfo"
_CACHED_FOR = 3_600_000  # milliseconds; the tools do not change while the process lives

Message = dict[str, Any]
Parameters = Mapping[str, Any]


class Tools(Protocol):
    """What the protocol needs to know of tools."""

    instructions: str

    def describe(self) -> list[dict[str, Any]]:
        """Name, description and schemas of every tool."""

    def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of one call. Raises KeyError when there is no such tool."""


class RequestError(Exception):
    """A request that is answered by a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class Server:
    """Answers one message at a time; keeps nothing between them.

    Args:
        tools: that assistants may call.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._handshake: dict[str, Callable[[Parameters], Message]] = {
            "initialize": self._initialize,
            "ping": lambda _: {},
            "tools/list": lambda _: {"tools": tools.describe()},
            "tools/call": self._call,
        }
        cached = {"ttlMs": _CACHED_FOR, "cacheScope": "private"}
        self._stateless: dict[str, Callable[[Parameters], Message]] = {
            "server/discover": lambda _: {**self._discover(), **cached},
            "tools/list": lambda _: {"tools": tools.describe(), **cached},
            "tools/call": self._call,
        }

    def answer(self, message: Any) -> Message | None:
        """The response to a message, None for one that gets no response (a notification, or a response to us)."""
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            return failure(None, INVALID_REQUEST, "not a JSON-RPC 2.0 message")
        if "method" not in message and ("result" in message or "error" in message):
            return None
        id_, method = message.get("id"), message.get("method")
        if "id" not in message:
            return None
        if isinstance(id_, bool) or not isinstance(id_, int | float | str):
            return failure(None, INVALID_REQUEST, "id must be a string or a number")
        if not isinstance(method, str):
            return failure(id_, INVALID_REQUEST, "method must be a string")
        parameters = message.get("params", {})
        if not isinstance(parameters, dict):
            return failure(id_, INVALID_PARAMS, "params must be an object")
        try:
            return {"jsonrpc": "2.0", "id": id_, "result": self._result(method, parameters)}
        except RequestError as error:
            return failure(id_, error.code, str(error), error.data)
        except Exception:  # one broken request must not end the others
            logger.exception("%s failed", method)
            return failure(id_, INTERNAL_ERROR, f"{method} failed; the server's standard error says why")

    def _result(self, method: str, parameters: Parameters) -> Message:
        meta = parameters.get("_meta")
        if method == "initialize" or not isinstance(meta, dict) or _VERSION_KEY not in meta:
            if method == "server/discover":
                raise RequestError(INVALID_PARAMS, f"server/discover needs {_VERSION_KEY} in _meta")
            return self._find(self._handshake, method)(parameters)
        requested = meta[_VERSION_KEY]
        if requested not in STATELESS_VERSIONS:
            supported = [*STATELESS_VERSIONS, *HANDSHAKE_VERSIONS]
            data = {"supported": supported, "requested": str(requested)}
            raise RequestError(UNSUPPORTED_VERSION, f"protocol version {requested!r} is not supported here", data)
        if not isinstance(meta.get(_CAPABILITIES_KEY), dict):
            raise RequestError(INVALID_PARAMS, f"{_CAPABILITIES_KEY} is missing in _meta")
        result = self._find(self._stateless, method)(parameters)
        return {"resultType": "complete", **result, "_meta": {_SERVER_KEY: _server_info()}}

    @staticmethod
    def _find(methods: Mapping[str, Callable[[Parameters], Message]], name: str) -> Callable[[Parameters], Message]:
        if name not in methods:
            raise RequestError(METHOD_NOT_FOUND, f"there is no method {name!r}")
        return methods[name]

    def _initialize(self, parameters: Parameters) -> Message:
        requested = parameters.get("protocolVersion")
        return {
            "protocolVersion": requested if requested in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1],
            "capabilities": {"tools": {}},
            "serverInfo": _server_info(),
            "instructions": self._tools.instructions,
        }

    def _discover(self) -> Message:
        return {
            "supportedVersions": [*STATELESS_VERSIONS, *HANDSHAKE_VERSIONS],
            "capabilities": {"tools": {}},
            "instructions": self._tools.instructions,
        }

    def _call(self, parameters: Parameters) -> Message:
        name, arguments = parameters.get("name"), parameters.get("arguments") or {}
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise RequestError(INVALID_PARAMS, "tools/call needs a name and an object of arguments")
        try:
            return self._tools.call(name, arguments)
        except KeyError:
            known = ", ".join(tool["name"] for tool in self._tools.describe())
            raise RequestError(INVALID_PARAMS, f"there is no tool {name!r}; there are {known}") from None


def failure(id_: Any, code: int, message: str, data: Any = None) -> Message:
    """A JSON-RPC error response."""
    error = {"code": code, "message": message, **({} if data is None else {"data": data})}
    return {"jsonrpc": "2.0", "id": id_, "error": error}


def _server_info() -> dict[str, str]:
    return {"name": "latelite", "title": "latelite", "version": __version__}
