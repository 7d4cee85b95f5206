"""The README's table: latelite and its alternatives, generated from the result files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import markdown_table
import quality_tables
from results import Result

_SAME = 0.9999
"""Minimum token cosine at which another encoder has the same vectors, and therefore the same quality, as fp32."""
_ACROSS = " -> "


def table(newest: Mapping[str, Result], quality: Sequence[Result]) -> str:
    """Quality, speed, size and memory, with a row for each measured system.

    Quality is the mean nDCG@10 over the sets on which all rows with quality were measured, so that rows are comparable.
    In sets across languages, questions and documents are in different languages.
    """
    sets = quality_tables.merged_sets(quality)
    encoders = newest["peers"].figures["encoders"] if "peers" in newest else {}
    lines = {
        "latelite, int8, meaning and words": ("int8 hybrid", None, None, None),
        "latelite, int8": ("int8 Exact", "latelite int8", *_footprint(newest, "int8")),
        "latelite, fp32": ("fp32", "latelite fp32", *_footprint(newest, "fp32")),
        "PyLate, the same checkpoint in PyTorch": (_same_quality(encoders.get("pylate")), "pylate", None, None),
        "multilingual-e5-small, one vector a text": ("e5 mean", None, None, None),
        "BM25": ("bm25", None, None, None),
    }
    wanted = {row for row, *_ in lines.values() if row and any(row in each["rows"] for each in sets.values())}
    common = {name: each["rows"] for name, each in sets.items() if wanted <= set(each["rows"])}
    inside = [rows for name, rows in common.items() if _ACROSS not in name]
    across = [rows for name, rows in common.items() if _ACROSS in name]
    body = []
    for label, (row, encoder, megabytes, memory) in lines.items():
        speed = encoders.get(encoder)
        cells = [
            _mean(inside, row if row in wanted else None),
            _mean(across, row if row in wanted else None),
            markdown_table.number(speed["encode_query"]["p50"]) if speed else markdown_table.UNKNOWN,
            markdown_table.number(speed["documents_per_second"]) if speed else markdown_table.UNKNOWN,
            markdown_table.megabytes(megabytes),
            markdown_table.megabytes(memory),
        ]
        if set(cells) != {markdown_table.UNKNOWN}:
            body.append([label, *cells])
    header = [
        "",
        f"nDCG@10, {len(inside)} sets",
        f"across languages, {len(across)} sets",
        "question, ms",
        "documents/s",
        "model, MB",
        "memory, MB",
    ]
    return markdown_table.table(header, body)


def question(figures: Mapping[str, Any]) -> str:
    """A sentence on query latency with the default kind of index."""
    name, corpus = next(iter(figures["corpora"].items()))
    total = corpus["indexes"]["IVF"]["warm"]["total"]
    return (
        f"A query, from text to ten hits, takes {markdown_table.number(total['p50'])} ms (median; nine in ten at most "
        f"{markdown_table.number(total['p90'])} ms) in {corpus['documents']:,} {name}."
    )


def _footprint(newest: Mapping[str, Result], precision: str) -> tuple[float | None, float | None]:
    """Bytes of a precision's graph, and resident memory while searching the largest measured collection with it."""
    if "footprint" not in newest:
        return None, None
    figures = newest["footprint"].figures
    size = figures["bundle"]["files"].get("model_int8.onnx" if precision == "int8" else "model.onnx")
    sizes = next(iter(figures["indexes"].values()))
    asked = sizes[-1]["memory_asked"] if figures["precision"] == precision else None
    return size, asked["resident"] if asked else None


def _same_quality(encoder: Mapping[str, Any] | None) -> str | None:
    return "fp32" if encoder and (encoder["cosine_min"] or 0.0) >= _SAME else None


def _mean(sets: Sequence[Mapping[str, Any]], row: str | None) -> str:
    if row is None or not sets:
        return markdown_table.UNKNOWN
    return markdown_table.share(sum(rows[row]["ndcg@10"] for rows in sets) / len(sets))
