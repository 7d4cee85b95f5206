"""HTTP/1.1 connections: uvicorn's, with bounds on patience and number, and errors as JSON."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from latelite.serve.answers import error_body
from latelite.serve.guard import HEADERS
from latelite.serve.limits import Limits


class Connection(H11Protocol):
    """uvicorn waits for ever for the end of a request's head, which a few hundred slow clients would make use of."""

    limits = Limits()
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, unless there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(503, "There are too many connections; try again in a second.", {"retry-after": "1"})
            return
        self._patience = self.loop.call_later(self.limits.seconds, self._lose_patience)

    def handle_events(self) -> None:
        """Stop waiting once the head is there; begin to wait again when a next one has begun to arrive."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._stop_waiting()
        elif self._patience is None and self.conn.trailing_data[0] and (before is None or before.response_complete):
            self._patience = self.loop.call_later(self.limits.seconds, self._lose_patience)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or has a head of more than 64 KiB."""
        self._refuse(400, "The request is not HTTP/1.1, or its head is too long (64 KiB at most).", {})

    def _refuse(self, status: int, sentence: str, headers: dict[str, str]) -> None:
        body = json.dumps(error_body(status, sentence)).encode()
        fields: list[tuple[str, str]] = [
            *HEADERS.items(),
            *headers.items(),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer is under way already
            self.transport.close()
            return
        events: list[Any] = [h11.Response(status_code=status, headers=fields), h11.Data(body), h11.EndOfMessage()]
        try:
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # nothing can be said any more
            pass
        self.transport.close()

    def _lose_patience(self) -> None:
        self._patience = None
        if self.transport.is_closing():
            return
        if not self.conn.trailing_data[0]:
            # Opened in advance and not used. An answer would be taken for that to its first request.
            self.transport.close()
        else:
            self._refuse(408, f"The request did not arrive within {self.limits.seconds:g} seconds.", {})

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
