"""``latelite search``: the best documents for a query."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from latelite.commands.console import (
    EPILOG,
    NOTHING_FOUND,
    OK,
    Commands,
    common,
    encoding,
    filtering,
    joined,
    one_line,
    open_existing,
    positive,
    print_report,
)

if TYPE_CHECKING:
    from latelite.results import Hit

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_SNIPPET = 160
"""Characters of a hit's text that are printed."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "search", parents=[common(), encoding(), filtering()], help="search a collection", epilog=EPILOG
    )
    command.add_argument("collection")
    command.add_argument("query")
    command.add_argument("-k", type=positive, default=5, help="number of hits (default: 5)")
    command.add_argument(
        "--mode",
        choices=("hybrid", "semantic", "lexical"),
        default="hybrid",
        help="by meaning and words, or one of them alone (default: hybrid)",
    )
    command.add_argument("--min-score", type=float, help="leave out hits below this score")
    command.add_argument("--group-by", metavar="FIELD", help="only the best hit of each value of a metadata field")
    command.add_argument("--explain", action="store_true", help="list what matches which word of the query")
    command.add_argument("--model", help="bundle folder or installed model (default: the one in the collection)")
    command.set_defaults(command=_search)


def _search(options: argparse.Namespace) -> int:
    marked = not options.json and _is_terminal()
    with open_existing(
        options.collection,
        read_only=True,
        model=options.model,
        precision=options.precision,
        threads=options.threads,
    ) as collection:
        start = time.perf_counter()
        hits = collection.search(
            options.query,
            k=options.k,
            where=joined(options.where),
            mode=options.mode,
            explain=options.explain or marked,
            min_score=options.min_score,
            group_by=options.group_by,
        )
        seconds = time.perf_counter() - start
    report = {
        "query": options.query,
        "seconds": round(seconds, 6),
        "hits": [_hit_as_json(hit, explained=options.explain) for hit in hits],
    }
    lines = []
    for rank, hit in enumerate(hits, 1):
        lines.append(f"{rank:>3}. {hit.score:7.3f}  {hit.id}")
        lines.append(f"     {_highlighted(hit, marked)}")
        if options.explain:
            lines += [
                f"       {match.score:6.3f}  {match.query} -> {one_line(hit.text[match.start : match.end], 60)}"
                for match in hit.matches
            ]
    print_report(options, report, "\n".join([*lines, f"{len(hits)} hits in {seconds * 1000:.1f} ms"]))
    return OK if hits else NOTHING_FOUND


def _hit_as_json(hit: Hit, *, explained: bool) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": hit.id,
        "score": round(hit.score, 6),
        "semantic": None if hit.semantic is None else round(hit.semantic, 6),
        "lexical": None if hit.lexical is None else round(hit.lexical, 6),
        "text": hit.text,
        "metadata": dict(hit.metadata),
    }
    if explained:
        content["matches"] = [
            {"query": match.query, "start": match.start, "end": match.end, "score": round(match.score, 6)}
            for match in hit.matches
        ]
    return content


def _is_terminal() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _highlighted(hit: Hit, marked: bool) -> str:
    """The snippet on one line, with what matches in bold."""
    from latelite.explain import best_snippet

    if not hit.matches:
        return one_line(hit.text, _SNIPPET)
    start, end = best_snippet(hit.text, hit.matches, _SNIPPET)
    before, after = ("…" if start else ""), ("…" if end < len(hit.text) else "")
    bold = bytearray(end - start)
    for match in hit.matches if marked else ():
        for place in range(max(match.start, start), min(match.end, end)):
            bold[place - start] = 1
    pieces = []
    for place, character in enumerate(hit.text[start:end]):
        was = bold[place - 1] if place else 0
        pieces.append((_BOLD if bold[place] > was else _PLAIN if bold[place] < was else "") + character)
    pieces.append(_PLAIN if len(bold) and bold[-1] else "")
    return before + " ".join("".join(pieces).split()) + after
