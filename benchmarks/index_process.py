"""A process of its own that opens one index and asks it: how long, how much memory, which documents?

    python benchmarks/index_process.py KIND FOLDER QUERIES.npz

prints one line of JSON. ``QUERIES.npz`` holds ``vectors`` (all tokens, dim) and ``lengths`` (queries,).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

# Before NumPy is loaded: afterwards BLAS has its threads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
from token_graph import TokenGraph  # noqa: E402

from latelite import indexes  # noqa: E402
from latelite.indexes import ivf, ranking  # noqa: E402

KINDS: dict[str, Callable[[str], Any]] = {
    "Exact float32": lambda folder: indexes.Exact(folder, store="float32"),
    "Exact": indexes.Exact,
    "IVF": indexes.IVF,
    "HNSW": lambda folder: indexes.HNSW(folder, threads=1),
    "token graph": TokenGraph,
}
"""What is compared; all on one thread, with default settings."""


def memory() -> dict[str, int]:
    """Bytes of this process: ``anonymous`` memory, and all that is ``resident``, mapped files included."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {"anonymous": 0, "resident": 0}
    sizes = {key: int(value.split()[0]) * 1024 for key, _, value in (line.partition(":") for line in lines[1:])}
    return {"anonymous": sizes["Anonymous"], "resident": sizes["Rss"]}


class Scoring:
    """Counts the time that is spent in MaxSim over tokens."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, owner: Any, name: str) -> None:
        """Count ``owner.name``, which calls none of the others."""
        call = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = call(*arguments, **options)
            self.seconds += time.perf_counter() - start
            return result

        setattr(owner, name, timed)


def measured(kind: str, folder: str, queries: list[np.ndarray]) -> dict[str, Any]:
    """Open, ask every query for 10 and for 100 documents."""
    before = memory()
    start = time.perf_counter()
    index = KINDS[kind](folder)
    opened = time.perf_counter() - start
    scoring = Scoring()
    if isinstance(index, TokenGraph):
        scoring.watch(TokenGraph, "_rerank")
    else:
        scoring.watch(ivf, "maxsim")
        scoring.watch(ranking, "maxsim")
        scoring.watch(ranking, "maxsim_batch")
    for query in queries[:20]:
        index([query], k=10)
    times, cpu, scored, found = [], [], [], []
    for query in queries:
        scoring.seconds = 0.0
        start, begun = time.perf_counter(), time.thread_time()
        (hits,) = index([query], k=10)
        times.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.thread_time() - begun))
        scored.append(1000 * scoring.seconds)
        found.append([hit["id"] for hit in hits])
    after = memory()
    return {
        "opened_seconds": opened,
        "milliseconds": times,
        "cpu_milliseconds": cpu,
        "scoring_milliseconds": scored,
        "top10": found,
        "top100": [[hit["id"] for hit in index([query], k=100)[0]] for query in queries],
        "anonymous": after["anonymous"] - before["anonymous"],
        "resident": after["resident"] - before["resident"],
    }


def main(kind: str, folder: str, queries: str) -> None:
    with np.load(queries) as arrays:
        vectors, lengths = arrays["vectors"], arrays["lengths"]
    split = [vectors[a:b] for a, b in pairwise(np.cumsum([0, *lengths]).tolist())]
    print(json.dumps(measured(kind, folder, split)))


if __name__ == "__main__":
    main(*sys.argv[1:])
