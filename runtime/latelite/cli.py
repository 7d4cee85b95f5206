"""The ``latelite`` command: its parser, and how a run ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from latelite import __version__, commands
from latelite.commands.console import EPILOG, FAILED, NOTHING_FOUND, OK, USAGE
from latelite.errors import LateliteError

__all__ = ["FAILED", "NOTHING_FOUND", "OK", "USAGE", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (LateliteError, OSError, ValueError) as error:
        print(f"latelite: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="latelite", description="Late-interaction search on small computers.", epilog=EPILOG
    )
    parser.add_argument("--version", action="version", version=f"latelite {__version__}")
    added = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in commands.ALL:
        command.register(added)
    return parser


if __name__ == "__main__":
    sys.exit(main())
