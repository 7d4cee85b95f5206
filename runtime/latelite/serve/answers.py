"""JSON answers, and the errors that become some."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response


class JSONAnswer(Response):
    """A value as JSON in UTF-8."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Escapes everything beyond ASCII when the value holds a lone surrogate, which UTF-8 cannot say."""
        try:
            return _dump(content, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            return _dump(content, ensure_ascii=True).encode("ascii")


class RequestError(Exception):
    """A request that gets an error, with one sentence for whoever wrote it.

    Args:
        status: of HTTP.
        sentence: what is wrong, and what to do.
        headers: of the answer, besides the usual ones.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers or {})


class BusyError(RequestError):
    """There is more to do than can wait."""

    def __init__(self, sentence: str, *, retry_after: int = 1) -> None:
        super().__init__(503, sentence, {"retry-after": str(retry_after)})


def error_body(status: int, sentence: str) -> dict[str, Any]:
    """What every error of the server says. ``message`` is where Cohere's clients look, ``error`` where TEI's do."""
    return {"error": sentence, "message": sentence, "status": status}


def error_answer(error: RequestError) -> JSONAnswer:
    """The answer that tells of an error."""
    return JSONAnswer(error_body(error.status, str(error)), error.status, error.headers)


def phrase(status: int) -> str:
    """The sentence for a status that came without one."""
    return f"{HTTPStatus(status).phrase}."


def _dump(content: Any, *, ensure_ascii: bool) -> str:
    return json.dumps(content, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"))
