"""``latelite mcp``: Model Context Protocol server over standard input and output."""

from __future__ import annotations

import argparse
from pathlib import Path

from latelite.commands.console import EPILOG, OK, Commands, positive, require_collection


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "mcp",
        help="let assistants search a collection (Model Context Protocol)",
        epilog=EPILOG,
        description="Serve the Model Context Protocol on standard input and output, so that an assistant on this "
        "computer can search the collection. The assistant starts this command; configure it as "
        '{"command": "latelite", "args": ["mcp", "/path/to/notes.lt"]}.',
    )
    command.add_argument("collection", type=Path, help="folder of the collection; it is opened read-only")
    command.add_argument("--threads", type=positive, help="CPU threads (default: all available)")
    command.set_defaults(command=_mcp)


def _mcp(options: argparse.Namespace) -> int:
    import os
    import sys

    from latelite import mcp

    require_collection(options.collection)
    # Output of libraries must not be mixed with the protocol's messages.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as writing:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        mcp.serve(options.collection, sys.stdin.buffer, writing, threads=options.threads)
    return OK
