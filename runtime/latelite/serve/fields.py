"""Reading a request: its body, and the fields of a JSON object or a query string, each checked."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request

from latelite.serve.answers import RequestError
from latelite.serve.limits import Limits

_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_CLOSE = {"connection": "close"}  # what the client still sends is not read


async def json_object(request: Request, limits: Limits) -> dict[str, Any]:
    """The request's body, which must be a JSON object.

    Raises:
        RequestError: it is too long or too slow, not declared as JSON, or not a JSON object.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(415, "Send the body as JSON, with the header Content-Type: application/json.", _CLOSE)
    value = parse_json(await _body(request, limits), "the body")
    if not isinstance(value, dict):
        raise RequestError(400, "The body must be a JSON object.")
    return value


async def _body(request: Request, limits: Limits) -> bytes:
    too_long = RequestError(413, f"The body may have {limits.body} bytes at most.", _CLOSE)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.body:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                body += part
                if len(body) > limits.body:
                    raise too_long
    except TimeoutError:
        raise RequestError(408, f"The body did not arrive within {limits.seconds:g} seconds.", _CLOSE) from None
    except ClientDisconnect:
        raise RequestError(400, "The body ended early.", _CLOSE) from None
    return bytes(body)


def parse_json(text: bytes | str, name: str) -> Any:
    """The value of a JSON text. Numbers that JSON or a float cannot hold are refused.

    Raises:
        RequestError: it is not JSON.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise RequestError(400, f"{name.capitalize()} is nested too deeply.") from None
    except ValueError as error:
        raise RequestError(400, f"{name.capitalize()} is not JSON: {error}.") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is too large")
    return value


class Fields:
    """Named values of a request.

    Args:
        values: by name.
        textual: whether numbers, truths and conditions come as text, as they do in a query string.
    """

    def __init__(self, values: Mapping[str, Any], *, textual: bool = False) -> None:
        self._values = dict(values)
        self._textual = textual

    @classmethod
    def of_query_string(cls, request: Request) -> Fields:
        """The fields of a request without a body. Raises RequestError when one comes twice."""
        pairs = request.query_params.multi_items()
        values = dict(pairs)
        if len(values) < len(pairs):
            raise RequestError(400, "A parameter may be given once only.")
        return cls(values, textual=True)

    def only(self, known: Iterable[str]) -> Fields:
        """Itself. Raises RequestError when there are other fields than the known ones."""
        known = tuple(known)
        if strangers := [name for name in self._values if name not in known]:
            raise RequestError(400, f"There is no field {strangers[0][:80]!r}; there are {', '.join(known)}.")
        return self

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def text(self, name: str, *, longest: int, default: str | None = None) -> str:
        """A text that is not empty."""
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, "a string")
        if not value.strip():
            raise RequestError(400, f"{name} is empty.")
        if len(value) > longest:
            raise RequestError(400, f"{name} has {len(value)} characters; it may have {longest} at most.")
        return value

    def integer(self, name: str, *, least: int, most: int, default: int) -> int:
        """A whole number in a range."""
        value = self._values.get(name)
        if value is None:
            return default
        if self._textual and isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
            value = int(value)
        if isinstance(value, float) and value.is_integer():  # JSON does not tell 5.0 from 5
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._wrong(name, f"an integer from {least} to {most}")
        return value

    def truth(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._values.get(name)
        if value is None:
            return default
        if self._textual:
            value = _TRUTHS.get(value)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        """One of some words; the first is the default."""
        value = self._values.get(name)
        if value is None:
            return known[0]
        if value not in known:
            raise self._wrong(name, f"one of {', '.join(known)}")
        return str(value)

    def condition(self, name: str, limits: Limits) -> dict[str, Any] | None:
        """A condition on metadata: a JSON object."""
        value = self._values.get(name)
        if value is None:
            return None
        written = value if isinstance(value, str) else json.dumps(value)
        if len(written) > limits.where:
            raise RequestError(400, f"{name} may have {limits.where} characters at most.")
        if self._textual:
            value = parse_json(value, name)
        if not isinstance(value, dict):
            raise self._wrong(name, "a JSON object")
        if _depth(value) > limits.depth:
            raise RequestError(400, f"{name} is nested more than {limits.depth} levels deep.")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """A JSON object, empty by default."""
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(name, "a JSON object")
        return value

    def items(self, name: str, *, most: int) -> list[Any]:
        """A list that is not empty."""
        value = self._values.get(name)
        if not isinstance(value, list) or not value:
            raise self._wrong(name, "a list that is not empty")
        if len(value) > most:
            raise RequestError(400, f"{name} holds {len(value)} entries; {most} are the most.")
        return value

    def value(self, name: str) -> Any:
        """Whatever was given, None when nothing was."""
        return self._values.get(name)

    def _wrong(self, name: str, wanted: str) -> RequestError:
        if self._values.get(name) is None:
            return RequestError(400, f"{name} is missing; it must be {wanted}.")
        return RequestError(400, f"{name} must be {wanted}.")


def _depth(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, parts), default=0) if isinstance(value, dict | list) else 0
