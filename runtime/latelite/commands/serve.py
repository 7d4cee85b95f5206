"""``latelite serve``: a search page and an HTTP API."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

from latelite.commands.console import EPILOG, OK, Commands, encoding, port_number, require_collection


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "serve",
        parents=[encoding()],
        help="search page and HTTP API",
        epilog=EPILOG,
        description="Serve a search page and an HTTP API (described at /openapi.json), which includes reranking, to "
        "programs on this machine. Listening on an address other than the loopback needs a token, set by the "
        "environment variable LATELITE_TOKEN or by --token; requests send it as: Authorization: Bearer TOKEN.",
    )
    command.add_argument(
        "collections",
        nargs="+",
        metavar="COLLECTION",
        help="folders of collections, each served under its name without suffix; NAME=FOLDER gives another name",
    )
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    command.add_argument("--port", type=port_number, default=8765, help="default: 8765; 0: any free port")
    command.add_argument(
        "--token", help="token that requests must send (prefer LATELITE_TOKEN: other users can see options)"
    )
    command.add_argument(
        "--write", action="store_true", help="allow requests with the token to add and remove documents"
    )
    command.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another host name that clients use, for example behind a proxy; needs a token; may be repeated",
    )
    command.set_defaults(command=_serve)


def _serve(options: argparse.Namespace) -> int:
    import logging

    from latelite.serve import run
    from latelite.serve.guard import access

    folders = named_folders(options.collections)
    for folder in folders.values():
        require_collection(folder)
    token = options.token or os.environ.get("LATELITE_TOKEN") or None
    rules = access(options.host, token=token, names=options.allow_host, write=options.write)

    def say(host: str, port: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        hint = "#token=..., with your token, opens the page" if rules.every else "Ctrl-C ends it"
        print(f"latelite serves {', '.join(folders)} at http://{shown}:{port}/  ({hint})", flush=True)

    # Warnings about long queries would put people's queries into the log.
    logging.getLogger("latelite").setLevel(logging.ERROR)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn has shut down already
        run(
            folders,
            access=rules,
            port=options.port,
            write=options.write,
            precision=options.precision,
            threads=options.threads,
            on_listening=say,
        )
    return OK


def named_folders(arguments: list[str]) -> dict[str, Path]:
    """Folders by the name under which they are served, in the given order.

    Raises:
        ValueError: two have the same name.
    """
    folders: dict[str, Path] = {}
    for argument in arguments:
        name, equals, folder = argument.partition("=")
        if not equals or "/" in name or Path(argument).exists():
            name, folder = Path(argument).resolve().stem, argument
        if name in folders:
            raise ValueError(f"two collections would be served as {name!r}; rename one: NAME={argument}.")
        folders[name] = Path(folder)
    return folders
