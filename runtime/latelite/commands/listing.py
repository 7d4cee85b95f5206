"""``latelite list``: list the documents of a collection."""

from __future__ import annotations

import argparse

from latelite.commands.console import (
    EPILOG,
    NOTHING_FOUND,
    OK,
    Commands,
    common,
    filtering,
    joined,
    one_line,
    open_existing,
    positive,
    print_report,
)


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "list", parents=[common(), filtering()], help="list documents, all or by metadata", epilog=EPILOG
    )
    command.add_argument("collection")
    command.add_argument("--limit", type=positive, help="maximum number of documents")
    command.add_argument("--offset", type=int, default=0, help="number of documents to skip (default: 0)")
    command.set_defaults(command=_list)


def _list(options: argparse.Namespace) -> int:
    where = joined(options.where)
    with open_existing(options.collection, read_only=True) as collection:
        found = collection.documents(where=where, limit=options.limit, offset=options.offset)
        total = collection.count(where=where)
    report = {
        "count": total,
        "documents": [{"id": each.id, "text": each.text, "metadata": dict(each.metadata)} for each in found],
    }
    lines = [f"{each.id}  {one_line(each.text, 100)}" for each in found]
    print_report(options, report, "\n".join([*lines, f"{len(found)} of {total} documents"]))
    return OK if total else NOTHING_FOUND
