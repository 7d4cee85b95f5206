"""``latelite compact``: free the space of removed documents."""

from __future__ import annotations

import argparse

from latelite.commands.console import EPILOG, OK, Commands, common, open_existing, print_report


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "compact",
        parents=[common()],
        help="free the space of removed documents",
        description="Rewrite a collection as one segment. Afterwards, removed documents are gone from the disk.",
        epilog=EPILOG,
    )
    command.add_argument("collection")
    command.set_defaults(command=_compact)


def _compact(options: argparse.Namespace) -> int:
    with open_existing(options.collection) as collection:
        before = collection.tokens
        collection.compact()
        report = {
            "collection": str(collection.folder),
            "documents": len(collection),
            "tokens_before": before,
            "tokens": collection.tokens,
        }
    print_report(options, report, "{collection}: {tokens_before} -> {tokens} token vectors".format_map(report))
    return OK
