"""``latelite export``: hand a collection to other software."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latelite.commands.console import EPILOG, OK, Commands, common, open_existing, print_report, table
from latelite.manifest import PRECISIONS

if TYPE_CHECKING:
    from latelite.collection import Collection


@dataclass(frozen=True)
class Target:
    """What ``--to`` can name."""

    help: str
    write: Callable[[Collection, Path, argparse.Namespace], dict[str, Any]]
    """Writes an open collection to a path; returns what is reported."""
    advice: str = ""
    """What to do with it, for people; takes the report's values."""


def _web(collection: Collection, out: Path, options: argparse.Namespace) -> dict[str, Any]:
    from latelite.web.writer import write_site

    written = write_site(collection, out, title=options.title, precision=options.precision, assets=options.assets)
    return {
        "site": str(written.folder),
        "documents": written.documents,
        "tokens": written.tokens,
        "precision": written.precision,
        "first_visit_bytes": written.first_visit_bytes,
    }


def _written(out: Path, documents: int, dtype: str) -> dict[str, Any]:
    return {"out": str(out), "documents": documents, "dtype": dtype}


def _parquet(collection: Collection, out: Path, options: argparse.Namespace) -> dict[str, Any]:
    from latelite.integrations import parquet

    return _written(out, parquet.write(collection, out, dtype=options.dtype, override=options.override), options.dtype)


def _lance(collection: Collection, out: Path, options: argparse.Namespace) -> dict[str, Any]:
    from latelite.integrations import lance

    return _written(out, lance.write(collection, out, dtype=options.dtype, override=options.override), options.dtype)


def _qdrant(collection: Collection, out: Path, options: argparse.Namespace) -> dict[str, Any]:
    from latelite.integrations import qdrant

    return _written(out, qdrant.write(collection, out, dtype=options.dtype, override=options.override), options.dtype)


def _vespa(collection: Collection, out: Path, options: argparse.Namespace) -> dict[str, Any]:
    from latelite.integrations import vespa

    if options.dtype != "float32":
        raise ValueError("Vespa's feed holds decimal numbers; its schema chooses the type: leave --dtype out.")
    return _written(out, vespa.write(collection, out, override=options.override), options.dtype)


TARGETS = {
    "web": Target(
        "a static site that searches in the browser, offline after the first visit",
        _web,
        "Any file server shows it: python -m http.server --directory {site}\nBrowsers keep it for use without a "
        "network on https:// and http://localhost only.",
    ),
    "parquet": Target("a file of texts, metadata and token vectors, which `latelite import` reads", _parquet),
    "lance": Target("a LanceDB folder with the table documents", _lance),
    "qdrant": Target("a folder of Qdrant Edge", _qdrant),
    "vespa-json": Target("a feed of JSON lines for Vespa", _vespa),
}
"""Name -> target, in the order of the help text."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "export",
        parents=[common()],
        help="hand a collection to other software",
        description="Hand a collection to other software: "
        + "; ".join(f"{name} is {target.help}" for name, target in TARGETS.items())
        + ". (`latelite-export` makes bundles out of checkpoints.)",
        epilog=EPILOG,
    )
    command.add_argument("collection")
    command.add_argument("--to", choices=list(TARGETS), required=True, help="what to write")
    command.add_argument("out", type=Path, help="file or folder to write")
    command.add_argument(
        "--dtype",
        choices=("float32", "float16", "int8"),
        default="float32",
        help="of the token vectors: int8, with scales, in Parquet only; float16 in Parquet, LanceDB and Qdrant "
        "(default: float32)",
    )
    command.add_argument(
        "--override",
        action="store_true",
        help="replace what an earlier export left (a site is brought up to date without it)",
    )
    web = command.add_argument_group("web")
    web.add_argument("--title", help="of the page and the installed app (default: the collection's name)")
    web.add_argument(
        "--precision", choices=PRECISIONS, help="graph to run in the browser (default: int8 where the model has it)"
    )
    web.add_argument(
        "--assets",
        type=Path,
        metavar="FOLDER",
        help="folder with the JavaScript packages, for machines without npm or a network",
    )
    command.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> int:
    target = TARGETS[options.to]
    with open_existing(options.collection, read_only=True) as collection:
        report = target.write(collection, options.out, options)
    advice = f"\n\n{target.advice.format_map(report)}" if target.advice else ""
    print_report(options, report, table(report) + advice)
    return OK
