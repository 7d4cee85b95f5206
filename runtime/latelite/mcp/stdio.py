"""The protocol's loop: one JSON message a line from standard input, answers to standard output."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from latelite.mcp.protocol import INVALID_REQUEST, PARSE_ERROR, Server, failure
from latelite.mcp.tools import CollectionTools

LONGEST_LINE = 4 << 20
"""Bytes of a message; what is longer is refused without being kept."""


def serve(folder: Path, reading: BinaryIO, writing: BinaryIO, *, threads: int | None = None) -> None:
    """Answer until the input ends.

    Tools run one after another on a thread of their own, so that a ping or another handshake is answered while one
    runs. The model begins to load once the first answer is out.

    Args:
        folder: of the collection; opened for reading only.
        reading: UTF-8, one JSON message a line.
        writing: where the answers go, flushed after each.
        threads: CPU threads for encoding; default: all usable.
    """
    tools = CollectionTools(folder, threads=threads)
    server = Server(tools)
    lock = threading.Lock()
    waiting: set[Any] = set()  # ids of calls that have not been answered
    calls: SimpleQueue[dict[str, Any] | None] = SimpleQueue()

    def write(message: Any) -> None:
        if message is None or message == []:
            return
        # Escaped ASCII: a lone surrogate or a line separator in a text cannot break the line.
        line = json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
        with lock:
            writing.write(line)
            writing.flush()
        tools.begin()

    def work() -> None:
        while (call := calls.get()) is not None:
            if call["id"] in waiting:
                answer = server.answer(call)
                if call["id"] in waiting:  # not cancelled meanwhile
                    write(answer)
            waiting.discard(call["id"])

    worker = threading.Thread(target=work, name="latelite-mcp", daemon=True)
    worker.start()

    def receive(message: Any) -> None:
        if isinstance(message, list):  # a batch, which 2025-03-26 allows
            write([answer for each in message if (answer := server.answer(each)) is not None])
        elif _is_call(message):
            waiting.add(message["id"])
            calls.put(message)
        elif isinstance(message, dict) and message.get("method") == "notifications/cancelled":
            parameters = message.get("params")
            cancelled = parameters.get("requestId") if isinstance(parameters, dict) else None
            if isinstance(cancelled, int | str):
                waiting.discard(cancelled)
        else:
            write(server.answer(message))

    try:
        _read_lines(reading, receive, write)
        calls.put(None)
        worker.join()
    except BrokenPipeError:  # the client is gone
        pass
    finally:
        tools.close()


def _read_lines(reading: BinaryIO, receive: Callable[[Any], None], write: Callable[[Any], None]) -> None:
    while line := reading.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = reading.readline(LONGEST_LINE)
            write(failure(None, INVALID_REQUEST, f"a message may have {LONGEST_LINE} bytes at most"))
            continue
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            write(failure(None, PARSE_ERROR, f"not JSON: {error}"))
            continue
        receive(message)


def _is_call(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and message.get("method") == "tools/call"
        and isinstance(message.get("id"), int | str)
        and not isinstance(message["id"], bool)
    )
