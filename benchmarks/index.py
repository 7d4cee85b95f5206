"""How small, how fast, how exact is each index? Against `Exact` on float32, one thread, one query at a time.

    python benchmarks/index.py --bundle models/default-onnx --data ../data/en-scifact --sizes 1000 5183
    python benchmarks/index.py --vectors scifact.npz --output index.json

Documents and queries are real text from folders in BEIR layout, encoded with the bundle's int8 graph. ``--vectors``
takes vectors that were encoded before: an .npz with ``q``, ``d`` (flat) and ``ql``, ``dl`` (lengths).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

# Before NumPy is loaded: afterwards BLAS has its threads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import beir  # noqa: E402
import numpy as np  # noqa: E402

from latelite import indexes  # noqa: E402
from latelite.maxsim import maxsim  # noqa: E402

KINDS: dict[str, dict[str, Any]] = {"Exact": {}, "HNSW": {"threads": 1}, "IVF": {}}


def encoded(options: argparse.Namespace) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Queries and documents as lists of (tokens, dim) float32."""
    if options.vectors:
        with np.load(options.vectors) as arrays:
            flat = {name: arrays[name] for name in ("q", "ql", "d", "dl")}  # each access to the file reads it anew
        queries, documents = (
            [flat[name][a:b].astype(np.float32) for a, b in pairwise(np.cumsum([0, *flat[name + "l"]]))]
            for name in ("q", "d")
        )
        return queries, documents
    from latelite import models

    model = models.ColBERT(options.bundle)
    queries, documents = [], []
    for folder in options.data:
        data = beir.load(folder)
        queries += model.encode(list(data.queries.values()), is_query=True)
        documents += model.encode(list(data.documents.values()), is_query=False, show_progress_bar=True)
    return queries, documents


def resident() -> float:
    """Anonymous resident memory in MiB: what is there besides mapped files; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(lines["RssAnon"].split()[0]) / 1024


def measured(
    kind: str, queries: list[np.ndarray], documents: list[np.ndarray], oracle: list[np.ndarray]
) -> dict[str, Any]:
    """Build, reopen and query one index."""
    tokens = sum(len(document) for document in documents)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with getattr(indexes, kind)(folder, **KINDS[kind]) as index:
            index.add_documents(range(len(documents)), documents)
        build = time.perf_counter() - start
        disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        before = resident()
        with getattr(indexes, kind)(folder, **KINDS[kind]) as index:
            index(queries[0])
            times, recall = [], {10: 0.0, 100: 0.0}
            for query, best in zip(queries, oracle, strict=True):
                start = time.perf_counter()
                (hits,) = index(query, k=10)
                times.append((time.perf_counter() - start) * 1000)
                recall[10] += len({hit["id"] for hit in hits} & set(best[:10].tolist())) / min(10, len(documents))
                (hits,) = index(query, k=100)
                recall[100] += len({hit["id"] for hit in hits} & set(best[:100].tolist())) / min(100, len(documents))
            memory = resident() - before
    p50, p90, p99 = np.percentile(times, [50, 90, 99])
    return {
        "documents": len(documents),
        "tokens": tokens,
        "build_seconds": round(build, 2),
        "disk_bytes_per_token": round(disk / tokens, 1),
        "resident_mib": round(memory, 1),
        "recall@10": round(recall[10] / len(queries), 4),
        "recall@100": round(recall[100] / len(queries), 4),
        "p50_ms": round(float(p50), 2),
        "p90_ms": round(float(p90), 2),
        "p99_ms": round(float(p99), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", default="models/default-onnx")
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", help="documents; default: all")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    if not options.vectors and not options.data:
        parser.error("give --data or --vectors")
    queries, documents = encoded(options)
    queries = queries[: options.queries]
    rows = []
    for size in options.sizes or [len(documents)]:
        part = documents[:size]
        flat, offsets = np.concatenate(part), np.cumsum([0, *(len(document) for document in part)])
        oracle, times = [], []
        for query in queries:
            start = time.perf_counter()
            scores = maxsim(query, flat, offsets)
            times.append((time.perf_counter() - start) * 1000)
            oracle.append(np.argsort(-scores, kind="stable")[:100])
        print(f"{len(part)} documents, {len(flat)} tokens: exact float32 scan {np.median(times):.1f} ms", flush=True)
        del flat
        for kind in options.kinds:
            row = {"kind": kind, "exact_float32_p50_ms": round(float(np.median(times)), 2)}
            row |= measured(kind, queries, part, oracle)
            rows.append(row)
            print(json.dumps(row), flush=True)
    if options.output:
        record = {
            "rows": rows,
            "machine": {"processor": platform.processor() or platform.machine(), "threads": 1},
            "versions": {"python": sys.version.split()[0], "numpy": np.__version__},
        }
        options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
