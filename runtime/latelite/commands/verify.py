"""``latelite verify``: verify a collection's checksums."""

from __future__ import annotations

import argparse

from latelite.commands.console import EPILOG, OK, Commands, common, open_existing, print_report


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("verify", parents=[common()], help="verify a collection's checksums", epilog=EPILOG)
    command.add_argument("collection")
    command.set_defaults(command=_verify)


def _verify(options: argparse.Namespace) -> int:
    with open_existing(options.collection, read_only=True) as collection:
        collection.verify()
        report = {"collection": str(collection.folder), "documents": len(collection), "verified": True}
    print_report(options, report, "{collection}: {documents} documents, all checksums match".format_map(report))
    return OK
