"""``latelite index``: synchronise a collection with files and folders."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from latelite.commands.console import (
    EPILOG,
    FAILED,
    MODEL_HELP,
    OK,
    USAGE,
    Commands,
    common,
    encoding,
    positive,
    print_report,
    printable,
)

if TYPE_CHECKING:
    from latelite.sources import roots
    from latelite.sources.reading import Problem
    from latelite.sources.report import Report
    from latelite.sources.sync import Progress

_SKIPPED_SHOWN = 20
_INTERVAL = 0.1  # seconds between redraws, so that a slow terminal does not slow down the work
_WIDTH = 24


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "index",
        parents=[common(), encoding()],
        help="index files and folders into a collection",
        epilog=EPILOG,
        description="Synchronise a collection with files and folders: Markdown and other text, HTML, PDF, DOCX, PPTX, "
        "EPUB, JSON lines, CSV, source code, and gzip of these. New and changed files are indexed, deleted ones are "
        "removed; the next run completes an interrupted one. Documents that were not added from files are left alone. "
        "A file .latelignore in a folder lists what to skip, like .gitignore.",
    )
    command.add_argument("collection", help="folder of the collection; created if it does not exist")
    command.add_argument(
        "paths", nargs="*", help="files, folders, - for standard input (default: those indexed before)"
    )
    command.add_argument("--model", help=MODEL_HELP)
    command.add_argument("--index", metavar="KIND", help="index of a new collection (default: IVF, a scan while small)")
    command.add_argument("--pool-factor", type=positive, help="keep 1 in N token vectors of a new collection")
    command.add_argument(
        "--suffix", action="append", help="in folders, only file names with this ending; may be repeated"
    )
    command.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="files to skip, as in a .gitignore; may be repeated",
    )
    command.add_argument("--keep-missing", action="store_true", help="keep the passages of deleted files")
    command.add_argument("--dry-run", action="store_true", help="change nothing, only report what would be done")
    command.add_argument(
        "--passage-length", type=positive, help="maximum characters of a passage (default: as much as the model reads)"
    )
    command.set_defaults(command=_index)


def _index(options: argparse.Namespace) -> int:
    from latelite.collection import Collection
    from latelite.collection_folder import HEADER_NAME
    from latelite.sources import adding, roots

    arguments = roots.resolve(options.paths) if options.paths else None
    exists = (Path(options.collection).expanduser() / HEADER_NAME).exists()
    if arguments is None and not exists:
        print(
            "usage: latelite index COLLECTION PATH...: a new collection needs files or folders to index",
            file=sys.stderr,
        )
        return USAGE
    if options.dry_run and not exists:
        report = _dry_run_of_a_new_collection(options, arguments or [])
    else:
        with (
            Collection(
                options.collection,
                options.model,
                precision=options.precision,
                threads=options.threads,
                index=options.index,
                pool_factor=options.pool_factor,
                read_only=options.dry_run,
            ) as collection,
            _Bar(options.progress) as bar,
        ):
            report = adding.add_files(
                collection,
                arguments,
                exclude=options.exclude,
                suffixes=options.suffix,
                passage_length=options.passage_length,
                keep_missing=options.keep_missing,
                dry_run=options.dry_run,
                on_progress=bar.show,
                on_wait=lambda: print(
                    f"latelite: waiting for another `latelite index` on {options.collection} to finish",
                    file=sys.stderr,
                ),
            )
    _print_problems(report, json=options.json)
    print_report(options, {"collection": options.collection, **report.as_json()}, f"{options.collection}: {report}")
    return FAILED if report.failed else OK


def _dry_run_of_a_new_collection(options: argparse.Namespace, arguments: list[roots.Argument]) -> Report:
    from latelite import default_model
    from latelite.models import ColBERT
    from latelite.sources import adding
    from latelite.sources.passage import Measure
    from latelite.sources.target import DryTarget

    model = ColBERT(default_model.resolve(options.model, precision=options.precision), precision=options.precision)
    measure = Measure(model.counts, model.document_room, options.passage_length)
    given = {"exclude": options.exclude, "suffixes": options.suffix}
    leave_out = [os.path.realpath(Path(options.collection).expanduser())]
    with contextlib.closing(DryTarget(None)) as target:
        return adding.dry(target, measure, arguments, given, leave_out, keep_missing=False)


def _print_problems(report: Report, *, json: bool) -> None:
    for problem in report.failed:
        print(f"latelite: {_format_problem(problem)}", file=sys.stderr)
    if json:
        return
    for problem in report.skipped[:_SKIPPED_SHOWN]:
        print(f"skipped {_format_problem(problem)}", file=sys.stderr)
    more = len(report.skipped) - _SKIPPED_SHOWN
    if more > 0:
        print(f"skipped {more:,} more files; --json lists them all", file=sys.stderr)


def _format_problem(problem: Problem) -> str:
    return printable(f"{problem.path}: {problem.reason}")


class _Bar:
    """``indexing  [####      ]  120/2,048 files  38 passages/s  0:37 left``, redrawn in place."""

    def __init__(self, enabled: bool | None) -> None:
        self._enabled = bool(sys.stderr and sys.stderr.isatty()) if enabled is None else enabled
        self._start = time.monotonic()
        self._drawn = -math.inf
        self._last: Progress | None = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._enabled and self._last is not None:
            self._draw(self._last, time.monotonic(), end="\n")

    def show(self, progress: Progress) -> None:
        """Draw, unless the last redraw was very recent."""
        self._last = progress
        now = time.monotonic()
        if self._enabled and now - self._drawn >= _INTERVAL:
            self._draw(progress, now, end="")
            self._drawn = now

    def _draw(self, progress: Progress, now: float, *, end: str) -> None:
        # By bytes, because file sizes vary; the file being read does not count yet.
        share = min(progress.bytes / progress.bytes_total, 1.0) if progress.bytes_total else 1.0
        seconds = max(now - self._start, 1e-9)
        left = int(seconds / share - seconds) if share else 0
        bar = "#" * round(share * _WIDTH)
        sys.stderr.write(
            f"\rindexing  [{bar:<{_WIDTH}}]  {progress.files:,}/{progress.files_total:,} files  "
            f"{progress.passages / seconds:.0f} passages/s  {left // 60}:{left % 60:02d} left \x1b[K{end}"
        )
        sys.stderr.flush()
