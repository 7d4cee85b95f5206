"""``latelite backup``: copy a collection that is in use."""

from __future__ import annotations

import argparse

from latelite.commands.console import EPILOG, OK, Commands, common, open_existing, print_report


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "backup",
        parents=[common()],
        help="copy a collection, even while it is being written to",
        description="Copy a consistent state of a collection into a new folder. Other ways of copying the folder may "
        "copy an inconsistent state if it is in use.",
        epilog=EPILOG,
    )
    command.add_argument("collection")
    command.add_argument("copy", help="folder to write; must be empty or not exist")
    command.set_defaults(command=_backup)


def _backup(options: argparse.Namespace) -> int:
    with open_existing(options.collection, read_only=True) as collection:
        collection.backup(options.copy)
        report = {"collection": str(collection.folder), "copy": options.copy, "documents": len(collection)}
    print_report(options, report, "{copy}: a copy of {collection}, {documents} documents".format_map(report))
    return OK
