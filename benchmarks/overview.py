"""The README's one table: latelite beside what a reader would use in its place, from the result files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tables
from results import Result

_SAME = 0.9999
"""Token cosine from which another encoder's vectors are those of the fp32 graph, and its quality the same."""
_ACROSS = " -> "


def table(newest: Mapping[str, Result], quality: Sequence[Result]) -> str:
    """Quality, speed, size and memory, a line for each system of which anything was measured.

    Quality is the mean of nDCG@10 over the sets on which every line that has any was measured, so that lines can be
    compared; sets across languages ask questions in one language about documents in another.
    """
    sets = tables.merged_sets(quality)
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
            tables.number(speed["encode_query"]["p50"]) if speed else tables.UNKNOWN,
            tables.number(speed["documents_per_second"]) if speed else tables.UNKNOWN,
            tables.megabytes(megabytes),
            tables.megabytes(memory),
        ]
        if set(cells) != {tables.UNKNOWN}:
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
    return tables.table(header, body)


def question(figures: Mapping[str, Any]) -> str:
    """A sentence on a question end to end, with the default kind of index."""
    name, corpus = next(iter(figures["corpora"].items()))
    total = corpus["indexes"]["IVF"]["warm"]["total"]
    return (
        f"A whole question, text in, ten hits out, takes {tables.number(total['p50'])} ms (median; nine in ten at most "
        f"{tables.number(total['p90'])} ms) in {corpus['documents']:,} {name}."
    )


def _footprint(newest: Mapping[str, Result], precision: str) -> tuple[float | None, float | None]:
    """Bytes of a precision's graph, and resident while searching the largest collection measured, if with it."""
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
        return tables.UNKNOWN
    return tables.share(sum(rows[row]["ndcg@10"] for rows in sets) / len(sets))
