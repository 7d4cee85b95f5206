"""``latelite watch``: keep a collection synchronised while files change."""

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
        help="keep a collection synchronised while files change, until Ctrl-C",
        epilog=EPILOG,
        description="Index the changes since the last run, then every further change, until Ctrl-C. Watches the "
        "folders and files indexed with `latelite index`.",
    )
    command.add_argument("collection")
    command.set_defaults(command=_watch)


def _watch(options: argparse.Namespace) -> int:
    from latelite.collection import Collection
    from latelite.collection_folder import HEADER_NAME
    from latelite.errors import IndexNotFoundError
    from latelite.sources import adding, watching

    if not (Path(options.collection).expanduser() / HEADER_NAME).exists():
        raise IndexNotFoundError(f"{options.collection} is not a collection; create one with `latelite index`.")
    with Collection(options.collection, precision=options.precision, threads=options.threads) as collection:
        if not adding.known_sources(collection):
            print(f"nothing to watch: run `latelite index {options.collection} FOLDER` first", file=sys.stderr)
            return USAGE
        for report in watching.watch(collection):
            for problem in report.failed:
                print(f"latelite: {problem.path}: {problem.reason}", file=sys.stderr)
            print(f"{options.collection}: {report}", flush=True)
    return OK
