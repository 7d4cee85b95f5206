"""An HTTP connection to a server on this machine, for benchmarks."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode


class Connection:
    """A kept HTTP connection that costs its own process little."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect to this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Close it."""
        self._writer.close()


def search_request(query: str, k: int, *, explain: bool) -> bytes:
    """A search as it goes over the wire."""
    fields = urlencode({"q": query, "k": k, "explain": str(explain).lower()})
    return f"GET /api/search?{fields} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
