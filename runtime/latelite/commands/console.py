"""Shared by the commands: exit statuses, common options, printing of reports."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latelite.errors import IndexNotFoundError
from latelite.manifest import PRECISIONS

if TYPE_CHECKING:
    from latelite.collection import Collection
    from latelite.models import ColBERT

OK, FAILED, USAGE, NOTHING_FOUND = 0, 1, 2, 3
EPILOG = "exit status: 0 done, 1 failed (one line on standard error says why), 2 wrong usage, 3 search found nothing"

MODEL_HELP = "bundle folder, or name of an installed model (default: the installed model)"

Commands = Any
"""Type returned by ``ArgumentParser.add_subparsers``; its class has no public name."""


def common() -> argparse.ArgumentParser:
    """A parent parser with the options of every command."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def encoding() -> argparse.ArgumentParser:
    """A parent parser with the options of commands that encode."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--precision", choices=PRECISIONS, help="graph to run (default: the best for this CPU)")
    parser.add_argument("--threads", type=positive, help="CPU threads (default: all available)")
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show progress on standard error (default: only on a terminal)",
    )
    return parser


def load_model(options: argparse.Namespace) -> ColBERT:
    from latelite.models import ColBERT

    return ColBERT(options.model, precision=options.precision, threads=options.threads)


def standard_input_lines() -> list[tuple[int, str]]:
    """The lines that are not blank, each with its number, from 1 on."""
    return [(number, line.rstrip("\r\n")) for number, line in enumerate(sys.stdin, start=1) if line.strip()]


def one_line(text: str, length: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def table(report: Mapping[str, Any], indent: str = "") -> str:
    """Format names and values in columns; sources of values go into a third column, nested mappings are indented."""
    width = max(map(len, report), default=0)
    lines = []
    for name, value in report.items():
        if isinstance(value, Mapping) and set(value) == {"value", "source"}:
            lines.append(f"{indent}{name:<{width}}  {_cell(value['value']):<20}  ({value['source']})")
        elif isinstance(value, Mapping) and value:
            lines += [f"{indent}{name}", table(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name:<{width}}  {_cell(value)}")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "-"
    if isinstance(value, Mapping):
        return "-"
    return "-" if value is None else str(value)


def print_report(options: argparse.Namespace, report: dict[str, Any], text: str) -> None:
    print(printable(json.dumps(report, ensure_ascii=False) if options.json else text))


def printable(text: str) -> str:
    """Escape what standard output cannot encode: undecodable file names, locales without UTF-8."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def port_number(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be between 0 and 65535, not {value}")
    return value


def require_collection(folder: Path) -> None:
    """Raise IndexNotFoundError if a folder is not a collection; cheaper than opening it."""
    if not (folder / "collection.json").is_file():
        raise IndexNotFoundError(f"{folder} is not a collection; create one with `latelite index {folder} FILES`.")


def open_existing(folder: str, *, read_only: bool = False, **options: Any) -> Collection:
    """Open an existing collection; only ``index`` creates one."""
    from latelite.collection import Collection
    from latelite.collection_folder import HEADER_NAME
    from latelite.errors import IndexNotFoundError

    if not (Path(folder).expanduser() / HEADER_NAME).exists():
        raise IndexNotFoundError(f"{folder} is not a collection; create one with `latelite index`.")
    return Collection(folder, read_only=read_only, **options)


def condition(text: str) -> dict[str, Any]:
    """Argument type of ``--where``; see `latelite.filters.parse_condition`."""
    from latelite.errors import FilterError
    from latelite.filters import parse_condition

    try:
        return parse_condition(text)
    except FilterError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def filtering() -> argparse.ArgumentParser:
    """A parent parser with ``--where``; several conditions must all hold."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        type=condition,
        metavar="CONDITION",
        help="only documents with this metadata: year=1999, 'year>=1999', done=true, lang!=de, tags~=x (a list with "
        "the element x, or a string that contains x); may be repeated",
    )
    return parser


def joined(conditions: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Combine the conditions of all ``--where`` into one filter; None if there are none."""
    return {"$and": conditions} if conditions else None


def document_id(collection: Collection, text: str) -> int | str:
    """The id meant by a command-line argument: the string if the collection has it, else the integer."""
    if text not in collection and text.lstrip("-").isdecimal() and int(text) in collection:
        return int(text)
    return text
