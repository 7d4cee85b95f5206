"""``latelite sources``: list the indexed folders."""

from __future__ import annotations

import argparse

from latelite.commands.console import EPILOG, NOTHING_FOUND, OK, Commands, common, print_report


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "sources",
        parents=[common()],
        help="list the indexed folders, with counts and last run",
        epilog=EPILOG,
    )
    command.add_argument("collection")
    command.set_defaults(command=_sources)


def _sources(options: argparse.Namespace) -> int:
    from latelite.collection import Collection
    from latelite.sources import adding

    with Collection(options.collection, read_only=True) as collection:
        report = adding.described_sources(collection)
    lines = []
    for each in report:
        run = each["last_run"] or "not finished"
        lines += [each["location"], f"    {each['files']:,} files, {each['passages']:,} passages, {run}"]
    print_report(options, {"collection": options.collection, "sources": report}, "\n".join(lines) or "nothing indexed")
    return OK if report else NOTHING_FOUND
