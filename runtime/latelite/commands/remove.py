"""``latelite remove``: remove documents from a collection."""

from __future__ import annotations

import argparse

from latelite.commands.console import (
    EPILOG,
    OK,
    Commands,
    common,
    document_id,
    filtering,
    joined,
    open_existing,
    print_report,
)


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "remove",
        parents=[common(), filtering()],
        help="remove documents by id or by metadata",
        description="Remove documents. Searches no longer find them; `latelite compact` frees their disk space.",
        epilog=EPILOG,
    )
    command.add_argument("collection")
    command.add_argument("ids", nargs="*", metavar="ID")
    command.set_defaults(command=_remove, parser=command)


def _remove(options: argparse.Namespace) -> int:

    where = joined(options.where)
    if bool(options.ids) == (where is not None):
        options.parser.error("give either ids or --where")
    with open_existing(options.collection) as collection:
        if where is None:
            removed = collection.remove([document_id(collection, text) for text in options.ids])
        else:
            removed = collection.remove(where=where)
        report = {"collection": str(collection.folder), "removed": removed, "documents": len(collection)}
    print_report(options, report, "{removed} removed, {documents} left".format_map(report))
    return OK
