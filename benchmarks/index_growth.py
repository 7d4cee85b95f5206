"""How the cost of an index grows with its size: the time of a query, where lists overtake a scan, adding documents."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from index_process import ask, build

from latelite import indexes

PIECE = 16
"""Tokens of a document in `adding`."""
PASSAGE = 32
"""Tokens of a short document in `scan_or_lists`."""


def exponents(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """From each size to the next of the same kind: how many times the tokens, how many times the median time.

    ``exponent`` is the power of the tokens that the time grew with: .5 is their square root.
    """
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    found = []
    for kind, sizes in by_kind.items():
        for small, large in pairwise(sorted(sizes, key=lambda row: row["tokens"])):
            tokens, slower = large["tokens"] / small["tokens"], large["p50_ms"] / small["p50_ms"]
            found.append(
                {
                    "kind": kind,
                    "from_tokens": small["tokens"],
                    "to_tokens": large["tokens"],
                    "times_tokens": round(tokens, 2),
                    "times_p50": round(slower, 2),
                    "exponent": round(math.log(slower) / math.log(tokens), 2),
                }
            )
    return found


def pieces(documents: Iterable[np.ndarray], tokens: int) -> Iterator[np.ndarray]:
    """The documents cut into pieces of so many tokens; what is left over is dropped."""
    for document in documents:
        for start in range(0, len(document) - tokens + 1, tokens):
            yield document[start : start + tokens]


def scan_or_lists(
    documents: Sequence[np.ndarray], queries: Sequence[np.ndarray], sizes: Iterable[int], work: Path
) -> list[dict[str, Any]]:
    """Median ms of `indexes.Exact` and of IVF's lists at ``sizes``, in tokens from the first document on."""
    ends = np.cumsum([len(document) for document in documents])
    rows = []
    for size in sizes:
        part = documents[: int(np.searchsorted(ends, size)) + 1]
        row: dict[str, Any] = {"tokens": sum(map(len, part)), "documents": len(part)}
        for kind, name in (("Exact", "scan_ms"), ("IVF lists", "lists_ms")):
            folder = work / f"{kind.replace(' ', '-')}-{len(part)}-{row['tokens']}"
            build(kind, folder, part)
            row[name] = round(float(np.median(ask(kind, folder, queries)["milliseconds"])), 2)
        rows.append(row)
    return rows


def crossing(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """Tokens from which on lists are faster at all sizes, interpolated; None where they are not at the largest."""
    gains = [math.log(row["scan_ms"] / row["lists_ms"]) for row in rows]
    sizes = [row["tokens"] for row in rows]
    slower = [number for number, gain in enumerate(gains) if gain <= 0]
    if not slower:
        return int(sizes[0])
    last = slower[-1]
    if last == len(rows) - 1:
        return None
    share = gains[last] / (gains[last] - gains[last + 1])
    return round(math.exp(math.log(sizes[last]) * (1 - share) + math.log(sizes[last + 1]) * share))


def adding(documents: Iterable[np.ndarray], count: int, more: int, times: int, folder: Path) -> dict[str, Any]:
    """Seconds to begin an IVF with ``count`` documents, and for each of ``times`` calls that add ``more``.

    The documents are pieces of `PIECE` tokens of ``documents``; fewer are taken where those do not suffice.
    """
    cut = list(islice(pieces(documents, PIECE), count + times * more))
    count = min(count, len(cut) - times * more)
    if count < 1:
        raise ValueError(f"{len(cut)} pieces of {PIECE} tokens are too few to add {times} times {more}.")
    index = indexes.IVF(folder)
    seconds = []
    for start, stop in pairwise([0, *range(count, count + times * more + 1, more)]):
        begun = time.perf_counter()
        index.add_documents(range(start, stop), cut[start:stop])
        seconds.append(time.perf_counter() - begun)
    first, *added = seconds
    return {
        "documents": count,
        "tokens_each": PIECE,
        "build_s": round(first, 2),
        "added": more,
        "times": times,
        "median_s": round(float(np.median(added)), 3),
        "mean_s": round(float(np.mean(added)), 3),
        "longest_s": round(max(added), 3),
        "proportional_s": round(first * more / count, 3),
    }
