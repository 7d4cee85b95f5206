"""What are the query latency and the cold start? Queries one after another end to end, then first answers of processes.

    python benchmarks/search.py                                       # Python's docstrings, default model
    python benchmarks/search.py --corpora docstrings ../data/en-xquad --indexes Exact IVF --min-seconds 60

Warm: as in MLPerf's SingleStream scenario, each query starts when the previous one is answered, until both
``--min-queries`` and ``--min-seconds`` are reached. Queries come in a fixed shuffled order, repeated as needed. The
measured call is ``Collection.search``, from a text to ten hits with texts. Its stages are timed inside it: ``tokenize``
(text -> ids), ``encode`` (ids -> token vectors), ``retrieve`` (finding candidates; nothing for an exact scan),
``rerank`` (MaxSim and ranking); the rest is reading the hits' texts.

Cold: a new Python process imports latelite, opens the collection and runs one query, ``--starts`` times: with all files
in the system's page cache, and with the model and the index evicted from it.

One thread, except for hnswlib, which uses all processors by default. Times are in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Before NumPy is loaded: afterwards BLAS has its threads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import corpora  # noqa: E402
import numpy as np  # noqa: E402
import process  # noqa: E402

import latelite.search  # noqa: E402
from latelite import Collection, indexes, models  # noqa: E402

BUCKETS = (8, 16, 32)
"""Upper bounds of the classes of query length, in tokens."""
_WARM_UP = 32
K = 10


class Stopwatch:
    """Times methods that are called inside a longer call."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        """Stage -> seconds since the last `take`."""

    def watch(self, owner: Any, method: str, stage: str) -> None:
        """Time ``owner.method`` as ``stage``."""
        call: Callable[..., Any] = getattr(owner, method)

        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                taken = time.perf_counter() - start
                self.spent[stage] += taken

        setattr(owner, method, timed)

    def take(self) -> dict[str, float]:
        """Stage -> seconds since the last call of this method."""
        spent = dict(self.spent)
        self.spent.clear()
        return spent


def collection(folder: Path, model: models.ColBERT, kind: str, corpus: corpora.Corpus, vectors: Sequence[Any]) -> None:
    """Write a collection from encoded documents."""
    with Collection(folder, model, index=kind) as written:
        written.add_vectors(list(corpus.documents), list(corpus.documents.values()), list(vectors))


def stream(
    folder: Path, model: models.ColBERT, queries: Sequence[str], *, min_queries: int, min_seconds: float
) -> dict[str, Any]:
    """Single-stream latency of a collection: total, stages, and total by query length."""
    with Collection(folder, model) as opened:
        watch = Stopwatch()
        searching: Any = latelite.search
        rank = searching.rank
        tokenize = model._tokenization.query
        watch.watch(model._tokenization, "query", "tokenize")
        watch.watch(model._session, "run", "encode")
        watch.watch(searching, "rank", "rerank")
        watch.watch(opened._parts.kind, "candidates", "retrieve")
        for query in queries[:_WARM_UP]:
            opened.search(query, k=K)
        watch.take()
        totals: list[float] = []
        stages: dict[str, list[float]] = defaultdict(list)
        asked: list[str] = []
        begin = time.perf_counter()
        while len(totals) < min_queries or time.perf_counter() - begin < min_seconds:
            query = queries[len(totals) % len(queries)]
            start = time.perf_counter()
            opened.search(query, k=K)
            totals.append(time.perf_counter() - start)
            asked.append(query)
            spent = watch.take()
            spent["rerank"] -= spent.get("retrieve", 0.0)  # ranking includes finding candidates
            for stage, seconds in spent.items():
                stages[stage].append(seconds)
        seconds = time.perf_counter() - begin
    counted = {query: len(tokenize(query).ids) for query in set(asked)}
    lengths = [counted[query] for query in asked]
    searching.rank = rank
    del model._tokenization.query, model._session.run  # remove the wrappers, which restores the methods
    return {
        "seconds": seconds,
        "total": percentiles(totals),
        "stages": {stage: percentiles(stages[stage]) for stage in ("tokenize", "encode", "retrieve", "rerank")},
        "lengths": {
            name: percentiles([total for total, length in zip(totals, lengths, strict=True) if length in bucket])
            for name, bucket in _buckets(max(lengths)).items()
        },
    }


def _buckets(longest: int) -> dict[str, range]:
    """Classes of length up to the longest."""
    ends = [end for end in BUCKETS if end < longest] + [longest]
    starts = [1, *(end + 1 for end in ends)]
    return {f"{start} to {end}": range(start, end + 1) for start, end in zip(starts, ends, strict=False)}


def percentiles(seconds: Sequence[float]) -> dict[str, float] | None:
    """Percentiles in milliseconds, and the number of calls; None if there are none."""
    if not len(seconds):
        return None
    values = np.percentile(seconds, [50, 90, 95, 99]) * 1000
    return dict(zip(("p50", "p90", "p95", "p99"), values.tolist(), strict=True)) | {
        "mean": float(np.mean(seconds)) * 1000,
        "calls": len(seconds),
    }


def cold(folder: Path, precision: str, query: str, starts: int) -> dict[str, Any]:
    """First answers of new processes, with a warm page cache, and with model and index evicted."""
    figures: dict[str, Any] = {}
    for name, evict in (("cached", False), ("from disk", True)):
        if evict and not hasattr(os, "posix_fadvise"):
            figures[name] = None
            continue
        process.started(folder, precision, [query])  # the first one may compile Python's modules
        runs = [process.started(folder, precision, [query] * 2, evict=evict) for _ in range(starts)]
        marks = {m: float(np.median([run[m] for run in runs])) for m in runs[0] if m.endswith("_ms") and m != "next_ms"}
        worst = max(run["first_answer_ms"] for run in runs)
        second = float(np.median([run["next_ms"][0] for run in runs]))
        figures[name] = marks | {"first_answer_ms_max": worst, "second_answer_ms": second, "starts": starts}
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Print tables and, with ``--json``, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--precision", choices=("int8", "fp32"), default="int8")
    parser.add_argument("--corpora", nargs="+", default=["docstrings"], metavar="FOLDER", help="or docstrings")
    parser.add_argument("--documents", type=int, help="maximum documents per corpus")
    parser.add_argument("--indexes", nargs="+", default=list(indexes.KINDS), choices=list(indexes.KINDS))
    parser.add_argument("--min-queries", type=int, default=1024)
    parser.add_argument("--min-seconds", type=float, default=10.0)
    parser.add_argument("--starts", type=int, default=5, help="new processes for the cold start")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)

    model = models.ColBERT(options.bundle, precision=options.precision, threads=1)
    manifest = model.manifest
    report: dict[str, Any] = {
        "bundle": {"id": manifest.checkpoint["id"], "fingerprint": manifest.fingerprint},
        "precision": options.precision,
        "threads": 1,
        "k": K,
        "corpora": {},
    }
    for name in options.corpora:
        corpus = corpora.by_name(name).part(options.documents)
        vectors = models.ColBERT(options.bundle, precision=options.precision).encode_document(
            list(corpus.documents.values())
        )
        figures: dict[str, Any] = {
            "documents": len(corpus.documents),
            "tokens": sum(map(len, vectors)),
            "queries": len(corpus.queries),
            "indexes": {},
        }
        print(f"\n{corpus.name}: {figures['documents']} documents, {figures['tokens']} tokens", flush=True)
        for kind in options.indexes:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "benchmark.lt"
                collection(folder, model, kind, corpus, vectors)
                warm = stream(
                    folder, model, corpus.queries, min_queries=options.min_queries, min_seconds=options.min_seconds
                )
                first = cold(folder, options.precision, corpus.queries[0], options.starts)
            figures["indexes"][kind] = {"warm": warm, "cold": first}
            _print(kind, warm, first)
        report["corpora"][corpus.name] = figures
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def _print(kind: str, warm: dict[str, Any], first: dict[str, Any]) -> None:
    rows = {"total": warm["total"]} | warm["stages"] | {f"{n} tokens": v for n, v in warm["lengths"].items()}
    print(f"{kind:16}" + "".join(f"{name:>10}" for name in ("p50", "p90", "p95", "p99", "calls")))
    for name, row in rows.items():
        if row:
            values = "".join(f"{row[p]:10.2f}" for p in ("p50", "p90", "p95", "p99"))
            print(f"  {name:14}{values}{row['calls']:10}")
    for name, marks in first.items():
        if marks:
            print(f"  first answer of a new process, {name}: {marks['first_answer_ms']:.0f} ms", flush=True)


if __name__ == "__main__":
    sys.exit(main())
