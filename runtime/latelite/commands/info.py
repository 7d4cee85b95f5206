"""``latelite info``: describe a bundle, collection or index."""

from __future__ import annotations

import argparse
from pathlib import Path

from latelite.commands.console import EPILOG, OK, Commands, common, print_report, table


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "info", parents=[common()], help="describe a bundle, collection or index", epilog=EPILOG
    )
    command.add_argument("path", help="folder")
    command.set_defaults(command=_info)


def _info(options: argparse.Namespace) -> int:
    from latelite.info import describe

    report = describe(Path(options.path))
    print_report(options, report, table(report))
    return OK
