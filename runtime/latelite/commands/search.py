"""``latelite search``: the best documents for a query."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from latelite.commands.console import (
    EPILOG,
    NOTHING_FOUND,
    OK,
    Commands,
    common,
    encoding,
    one_line,
    pair,
    positive,
    print_report,
)


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("search", parents=[common(), encoding()], help="search a collection", epilog=EPILOG)
    command.add_argument("collection")
    command.add_argument("query")
    command.add_argument("-k", type=positive, default=5, help="number of hits (default: 5)")
    command.add_argument(
        "--where",
        action="append",
        default=[],
        type=pair,
        metavar="KEY=VALUE",
        help="only documents with this metadata",
    )
    command.add_argument("--model", help="bundle folder or installed model (default: the one in the collection)")
    command.set_defaults(command=_search)


def _search(options: argparse.Namespace) -> int:
    from latelite.collection import Collection
    from latelite.collection_folder import HEADER_NAME
    from latelite.errors import IndexNotFoundError

    if not (Path(options.collection) / HEADER_NAME).exists():
        raise IndexNotFoundError(f"{options.collection} holds no collection; make one with `latelite index`.")
    where = dict(pair.split("=", 1) for pair in options.where) or None
    with Collection(
        options.collection, options.model, precision=options.precision, threads=options.threads
    ) as collection:
        start = time.perf_counter()
        hits = collection.search(options.query, k=options.k, where=where)
        seconds = time.perf_counter() - start
    report = {
        "query": options.query,
        "seconds": round(seconds, 6),
        "hits": [
            {"id": hit.id, "score": round(hit.score, 6), "text": hit.text, "metadata": dict(hit.metadata)}
            for hit in hits
        ],
    }
    lines = [
        f"{rank:>3}. {hit.score:7.3f}  {hit.id}\n     {one_line(hit.text, 160)}" for rank, hit in enumerate(hits, 1)
    ]
    print_report(options, report, "\n".join([*lines, f"{len(hits)} hits in {seconds * 1000:.1f} ms"]))
    return OK if hits else NOTHING_FOUND
