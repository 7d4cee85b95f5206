"""Listening: one process, one event loop, the work on threads."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from latelite.errors import StoreError
from latelite.serve.app import create_app
from latelite.serve.connection import Connection
from latelite.serve.guard import Access
from latelite.serve.limits import Limits

if TYPE_CHECKING:
    from latelite.manifest import Precision

logger = logging.getLogger(__name__)

_SWITCH_INTERVAL = 0.001
"""Seconds after which a thread at work lets the event loop have its turn; Python's default is 5 ms for each turn."""


def run(
    folders: Mapping[str, Path],
    *,
    access: Access,
    port: int,
    write: bool = False,
    limits: Limits | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
    on_listening: Callable[[str, int], object] | None = None,
) -> None:
    """Serve until interrupted.

    Args:
        folders: of collections, by the name that paths use.
        access: who may ask; its ``host`` is the address to listen on.
        port: 0 takes a free one.
        write: whether documents can be changed.
        limits: of requests.
        precision: which graph encodes.
        threads: CPU threads for encoding.
        on_listening: told host and port once connections are accepted.

    Raises:
        OSError: the address cannot be listened on.
        StoreError: a collection cannot be opened.
    """
    limits = limits or Limits()
    app = create_app(folders, access=access, write=write, limits=limits, precision=precision, threads=threads)
    config = uvicorn.Config(
        app,
        http=type("LimitedConnection", (Connection,), {"limits": limits}),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="error",  # a line for every broken request would let anybody fill the log
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks where a request comes from
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        backlog=limits.connections,
    )
    listening = _listen(access.host.strip("[]"), port, backlog=limits.connections)
    server = uvicorn.Server(config)
    sys.setswitchinterval(_SWITCH_INTERVAL)
    if on_listening is not None:
        on_listening(access.host, listening.getsockname()[1])
    collections = app.state.service.collections

    async def serve() -> None:
        async def watch() -> None:
            """End the server when a collection turns out not to be usable."""
            while collections.failure() is None and "loading" in map(collections.state, collections.names):
                await asyncio.sleep(0.05)
            if collections.failure() is not None:
                server.should_exit = True

        watching = asyncio.create_task(watch())
        await server.serve(sockets=[listening])
        watching.cancel()

    asyncio.run(serve())
    if (failure := collections.failure()) is not None:
        raise failure if isinstance(failure, OSError | ValueError) else StoreError(str(failure)) from failure


def _listen(host: str, port: int, *, backlog: int) -> socket.socket:
    """A listening socket. uvicorn's own ends the process with a log line where an error should be raised."""
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is; with it, a body that follows
    # its head waits 40 ms for the client's acknowledgement.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(backlog)  # from here on clients are not refused, they wait for the event loop
    except OSError as error:
        listening.close()
        raise OSError(f"cannot listen on {host}, port {port}: {error.strerror}; choose another by --port.") from error
    listening.set_inheritable(False)
    return listening
