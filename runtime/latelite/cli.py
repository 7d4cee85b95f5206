"""Entry point of the ``latelite`` command."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from latelite import __version__, commands
from latelite.commands.console import EPILOG, FAILED, NOTHING_FOUND, OK, USAGE
from latelite.errors import LateliteError

__all__ = ["FAILED", "NOTHING_FOUND", "OK", "USAGE", "main"]

PIPE_CLOSED = 141
"""What a shell reports of a program whose output was closed: 128 and the number of the signal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status = int(options.command(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads the output has read enough, as ``head`` does
        with contextlib.suppress(OSError, ValueError):  # what is left is flushed once more at the end of the process
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (LateliteError, OSError, ValueError) as error:
        print(f"latelite: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001
        print(f"latelite: {_unexpected(error)}", file=sys.stderr)
        return FAILED


def _unexpected(error: Exception) -> str:
    """One line for what nothing here foresaw: no memory, another library's error, a mistake of ours."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    return f"{text} (in {Path(place.filename).name}, line {place.lineno})"


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
