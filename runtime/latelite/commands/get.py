"""``latelite get``: print documents by id."""

from __future__ import annotations

import argparse
import json

from latelite.commands.console import EPILOG, OK, Commands, common, document_id, open_existing, print_report


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("get", parents=[common()], help="print documents by id", epilog=EPILOG)
    command.add_argument("collection")
    command.add_argument("ids", nargs="+", metavar="ID")
    command.set_defaults(command=_get)


def _get(options: argparse.Namespace) -> int:
    with open_existing(options.collection, read_only=True) as collection:
        found = collection.get([document_id(collection, text) for text in options.ids])
    report = {
        "documents": [
            {"id": each.id, "text": each.text, "metadata": dict(each.metadata), "truncated": each.truncated}
            for each in found
        ]
    }
    lines = [f"{each.id}  {json.dumps(dict(each.metadata), ensure_ascii=False)}\n{each.text}" for each in found]
    print_report(options, report, "\n\n".join(lines))
    return OK
