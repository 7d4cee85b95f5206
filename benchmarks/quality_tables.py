"""Retrieval quality -> Markdown tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from markdown_table import UNKNOWN, number, share, table
from results import Result

METRICS = {"ndcg@10": "nDCG@10", "recall@100": "recall@100", "mrr@10": "MRR@10"}
QUALITY_ROWS = {
    "fp32": "fp32",
    "int8": "int8",
    "int8 Exact": "Exact",
    "int8 HNSW": "HNSW",
    "int8 IVF": "IVF",
    "int8 pool 2": "pool 2",
    "int8 pool 3": "pool 3",
    "int8 hybrid": "hybrid",
    "mean pool": "mean pool",
    "bm25": "BM25",
    "bm25 stems": "BM25, stems",
    "e5 mean": "e5, one vector",
    "e5 MaxSim": "e5, MaxSim",
}


def merged_sets(results: Sequence[Result]) -> dict[str, Any]:
    """The sets of all quality runs; for each set, the newest run."""
    sets: dict[str, Any] = {}
    for result in results:
        sets.update(result.figures["sets"])
    return sets


def quality(sets: Mapping[str, Any], metric: str) -> str:
    """One metric, with a row for each set and a mean row for each language with several sets."""
    columns = [row for row in QUALITY_ROWS if any(row in each["rows"] for each in sets.values())]

    def line(label: str, values: Mapping[str, float | None]) -> list[str]:
        return [label, *(share(values.get(column)) for column in columns)]

    rows, languages = [], defaultdict(list)
    for name, each in sets.items():
        values = {row: figures[metric] for row, figures in each["rows"].items()}
        rows.append(line(f"{name} ({each['documents']:,} documents, {each['queries']:,} queries)", values))
        if each["language"] and " -> " not in name:
            languages[each["language"]].append(values)
    for language, group in sorted(languages.items()):
        if len(group) > 1:
            means = {c: _mean([values.get(c) for values in group]) for c in columns}
            rows.append(line(f"*{language}, mean of {len(group)} sets*", means))
    return table([METRICS[metric], *(QUALITY_ROWS[column] for column in columns)], rows)


def card(sets: Mapping[str, Any]) -> str:
    """nDCG@10 of a model, weakest set first, with int8's difference in points."""

    def value(name: str, row: str) -> float | None:
        figures = sets[name]["rows"].get(row)
        return figures["ndcg@10"] if figures else None

    rows = []
    for name in sorted(sets, key=lambda name: value(name, "int8 Exact") or 0.0):
        fp32, int8 = value(name, "fp32"), value(name, "int8 Exact")
        difference = UNKNOWN if fp32 is None or int8 is None else f"{100 * (int8 - fp32):+.1f}"
        others = [share(value(name, row)) for row in ("int8 IVF", "mean pool", "bm25")]
        rows.append([name, share(int8), share(fp32), difference, *others])
    return table(
        ["nDCG@10", "int8, Exact", "fp32", "int8 minus fp32, points", "int8, IVF", "mean pool, int8", "BM25"], rows
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def quality_times(sets: Mapping[str, Any]) -> str:
    """Milliseconds for searching, and for encoding the query."""
    timed = {name: each for name, each in sets.items() if "encode_query_ms" in each}
    columns = [row for row in QUALITY_ROWS if any(row in each["rows"] for each in timed.values())]
    rows = [
        [
            name,
            *(number(each["rows"].get(column, {}).get("query_ms")) for column in columns),
            *(number(each["encode_query_ms"][precision]) for precision in ("fp32", "int8")),
        ]
        for name, each in timed.items()
    ]
    header = ["ms/query, p50", *(QUALITY_ROWS[c] for c in columns), "encode, fp32", "encode, int8"]
    return table(header, rows) if rows else ""
