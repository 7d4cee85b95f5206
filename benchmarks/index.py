"""How small, how fast, how exact is each index? Against `Exact` on float32, one thread, one query at a time.

    python benchmarks/index.py --bundle models/default-onnx --data DATA/en-scifact --cache CACHE
    python benchmarks/index.py --data DATA/en-scifact DATA/*-lohelp --cache CACHE --sizes 1300 5183 21731 --work WORK

Documents and queries are real text from folders in BEIR layout, encoded with the bundle and kept in ``--cache``. A size
is a number of documents, from the first on, of all sets one after another; queries are taken evenly from the sets that
it reaches into. Each index is built in one call, on one thread but for graphs, which take all CPUs, and asked on one
thread in a process of its own; with ``--work``, an index that is there already is asked again without being built.
There are four parts:

``sizes``: every kind at every size, and how its time grew from size to size. Columns: ``disk``, bytes a token of the
whole folder; ``anonymous`` and ``resident``, MB (10^6) that the process gained by opening the index and asking, without
and with the mapped files that it touched; ``recall``, share of the documents of the float32 scan that are found;
``p50`` and so on, ms for ten documents; ``cpu``, median ms of processor time, which other work on the machine disturbs
less; ``scoring``, median ms that were spent on MaxSim over tokens, and ``candidates``, the rest.
``crossing``: from how many tokens on are IVF's lists faster than a scan of int8? Asked of the documents of the first
set, and of their passages of 32 tokens.
``adding``: seconds for 1,000 documents more, beside 100,000, which are pieces of the real ones.
``quality``: nDCG@10 of IVF and of the float32 scan, each set alone.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

# Before NumPy is loaded: afterwards BLAS has its threads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import index_growth  # noqa: E402
import metrics  # noqa: E402
import numpy as np  # noqa: E402
import token_graph  # noqa: E402
import token_vectors  # noqa: E402
from index_process import ask, build  # noqa: E402

from latelite import models  # noqa: E402
from latelite.cpus import usable_cpus  # noqa: E402

BASE = "Exact float32"
KINDS = (BASE, "Exact", "IVF", "HNSW", "token graph")
PARTS = ("sizes", "crossing", "adding", "quality")
CROSSING_SIZES = (8_000, 16_000, 32_000, 64_000, 96_000, 128_000)
"""Tokens."""


def evenly(items: Sequence[Any], wanted: int) -> list[Any]:
    """``wanted`` of the items, or all."""
    share = min(wanted, len(items))
    return [items[i * len(items) // share] for i in range(share)]


def asked(sets: Sequence[token_vectors.EncodedSet], documents: int, wanted: int) -> list[np.ndarray]:
    """``wanted`` queries, evenly from the sets that the first ``documents`` documents are from, by turns."""
    starts = list(accumulate((len(each.documents) for each in sets), initial=0))[:-1]
    reached = [each.queries for each, start in zip(sets, starts, strict=True) if start < documents]
    shares = [wanted * (number + 1) // len(reached) - wanted * number // len(reached) for number in range(len(reached))]
    found = [evenly(queries, share) for queries, share in zip(reached, shares, strict=True) if share]
    return [part[turn] for turn in range(max(map(len, found))) for part in found if turn < len(part)]


def row(
    kind: str, folder: Path, documents: Sequence[np.ndarray], seconds: float | None, found: Any, base: Any
) -> dict[str, Any]:
    """One line of the table of sizes."""
    tokens = sum(map(len, documents))
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    p50, p90, p99 = np.percentile(found["milliseconds"], [50, 90, 99])
    scoring = float(np.median(found["scoring_milliseconds"]))
    name = f"{kind} ({token_graph.library()})" if kind == "token graph" else kind
    return {
        "kind": name,
        "documents": len(documents),
        "tokens": tokens,
        "build_s": None if seconds is None else round(seconds, 1),
        "disk_bytes_per_token": round(disk / tokens, 1),
        "anonymous_mb": round(found["anonymous"] / 1e6, 1),
        "resident_mb": round(found["resident"] / 1e6, 1),
        "recall@10": recall(found["top10"], base["top10"]),
        "recall@100": recall(found["top100"], base["top100"]) if base["top100"] else None,
        "p50_ms": round(float(p50), 2),
        "p90_ms": round(float(p90), 2),
        "p99_ms": round(float(p99), 2),
        "cpu_ms": round(float(np.median(found["cpu_milliseconds"])), 2),
        "candidates_ms": round(float(p50) - scoring, 2),
        "scoring_ms": round(scoring, 2),
        "times_faster": round(float(np.median(base["milliseconds"]) / p50), 2),
    }


def recall(found: Sequence[Sequence[int]], best: Sequence[Sequence[int]]) -> float:
    """Mean share of ``best`` that is in ``found``."""
    return round(float(np.mean([len({*a} & {*b}) / len(b) for a, b in zip(found, best, strict=True)])), 4)


def quality(encoded: token_vectors.EncodedSet, wanted: int) -> dict[str, Any]:
    """nDCG@10 of IVF and of the float32 scan, in points, over ``wanted`` queries of one set."""
    chosen = evenly(list(zip(encoded.data.queries, encoded.queries, strict=True)), wanted)
    names, queries = [name for name, _ in chosen], [vectors for _, vectors in chosen]
    documents = list(encoded.data.documents)
    line: dict[str, Any] = {"set": encoded.data.name, "queries": len(names)}
    for kind, column in ((BASE, "exact_float32"), ("IVF", "ivf")):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "index"
            build(kind, folder, encoded.documents)
            found = ask(kind, folder, queries)["top10"]
        gains = (
            metrics.ndcg([documents[number] for number in best], encoded.data.qrels[name], 10)
            for name, best in zip(names, found, strict=True)
        )
        line[column] = round(100 * float(np.mean(list(gains))), 2)
    return line | {"difference": round(line["ivf"] - line["exact_float32"], 2)}


class Report:
    """Figures, printed and written as they come: an interrupted run keeps those that it had."""

    def __init__(self, path: Path | None, **settings: Any) -> None:
        self._path = path
        self._figures: dict[str, Any] = {**settings, "rows": []}

    def add(self, part: str, line: dict[str, Any]) -> None:
        """Append a line to the table ``part``."""
        self._figures.setdefault(part, []).append(line)
        self._say(f"{part}: {json.dumps(line)}")

    def set(self, name: str, value: Any) -> None:
        """Note a single figure."""
        self._figures[name] = value
        self._say(f"{name}: {json.dumps(value)}")

    def rows(self, part: str) -> list[dict[str, Any]]:
        """The lines so far."""
        found: list[dict[str, Any]] = self._figures.get(part, [])
        return found

    def _say(self, line: str) -> None:
        print(line, flush=True)
        if self._path:
            self._path.write_text(json.dumps(self._figures, indent=1) + "\n", encoding="utf-8")


def compare_sizes(
    options: argparse.Namespace, sets: Sequence[token_vectors.EncodedSet], work: Path, report: Report
) -> None:
    """The part ``sizes``."""
    documents = [document for each in sets for document in each.documents]
    limits = {"Exact": options.scans_until, "HNSW": options.graphs_until, "token graph": options.baseline_until}
    for size in options.sizes or [len(documents)]:
        part = documents[:size]
        tokens = sum(map(len, part))
        queries = asked(sets, len(part), options.queries)
        kinds = [kind for kind in options.kinds if tokens <= limits.get(kind, tokens)]
        base: Any = None
        for kind in [BASE, *(kind for kind in kinds if kind != BASE)]:
            folder = work / f"{kind.replace(' ', '-')}-{len(part)}"
            seconds = build(kind, folder, part)
            if options.build_only:
                print(f"{kind}, {len(part)} documents, {tokens} tokens: built in {seconds} s", flush=True)
                continue
            found = ask(kind, folder, queries, options.deep)
            base = base or found
            report.add("rows", row(kind, folder, part, seconds, found, base))
    for line in index_growth.exponents(report.rows("rows")):
        report.add("growth", line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders in BEIR layout")
    parser.add_argument("--cache", type=Path, default=Path("models/build/vectors"), help="for token vectors")
    parser.add_argument("--work", type=Path, help="keep the indexes here")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--sizes", type=int, nargs="+", help="documents; default: all")
    parser.add_argument("--queries", type=int, default=200, help="for each size")
    parser.add_argument("--deep", type=int, default=50, help="of these queries are asked for 100 documents too")
    parser.add_argument("--quality-queries", type=int, default=300, help="for each set")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--scans-until", type=int, default=1_500_000, help="tokens; larger int8 scans are left out")
    parser.add_argument("--graphs-until", type=int, default=1_500_000, help="tokens; the same for HNSW")
    parser.add_argument("--baseline-until", type=int, default=400_000, help="tokens; the same for the token graph")
    parser.add_argument("--build-only", action="store_true", help="build the indexes of the sizes and stop")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()

    model = models.ColBERT(options.bundle)
    sets = [token_vectors.encoded(folder, model, options.cache) for folder in options.data]
    report = Report(options.json, sets=[each.data.name for each in sets], queries=options.queries)
    parts = ["sizes"] if options.build_only else options.parts
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as scratch:
        if "sizes" in parts:
            compare_sizes(options, sets, options.work or Path(scratch), report)
        first = sets[0].documents
        if "crossing" in parts:
            queries = evenly(sets[0].queries, options.queries)
            passages = list(index_growth.pieces(first, index_growth.PASSAGE))
            for name, documents in (("crossing", first), ("crossing_of_passages", passages)):
                for line in index_growth.scan_or_lists(documents, queries, CROSSING_SIZES, Path(scratch)):
                    report.add(name, line)
                report.set(f"{name}_tokens", index_growth.crossing(report.rows(name)))
        if "adding" in parts:
            everything = (document for each in sets for document in each.documents)
            report.add("adding", index_growth.adding(everything, 100_000, 1_000, 10, Path(scratch) / "adding"))
        if "quality" in parts:
            with ThreadPoolExecutor(usable_cpus()) as workers:  # nothing is timed here
                for line in workers.map(partial(quality, wanted=options.quality_queries), sets):
                    report.add("quality", line)


if __name__ == "__main__":
    main()
