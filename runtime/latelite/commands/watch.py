"""``latelite watch``: keep a collection in step while files change."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from latelite.commands.console import EPILOG, OK, USAGE, Commands, encoding


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "watch",
        parents=[encoding()],
        help="keep a collection in step while files change, until Ctrl-C",
        epilog=EPILOG,
        description="Index what changed since the last run, and then whatever changes, until Ctrl-C. Watches the "
        "folders and files that `latelite index` has put into the collection.",
    )
    command.add_argument("collection")
    command.set_defaults(command=_watch)


def _watch(options: argparse.Namespace) -> int:
    from latelite.collection import Collection
    from latelite.collection_folder import HEADER_NAME
    from latelite.errors import IndexNotFoundError
    from latelite.sources import adding, watching

    if not (Path(options.collection).expanduser() / HEADER_NAME).exists():
        raise IndexNotFoundError(f"{options.collection} holds no collection; `latelite index` makes one.")
    with Collection(options.collection, precision=options.precision, threads=options.threads) as collection:
        if not adding.known_sources(collection):
            print(f"usage: latelite index {options.collection} FOLDER, before it can be watched", file=sys.stderr)
            return USAGE
        for report in watching.watch(collection):
            for problem in report.failed:
                print(f"latelite: {problem.path}: {problem.reason}", file=sys.stderr)
            print(f"{options.collection}: {report}", flush=True)
    return OK
