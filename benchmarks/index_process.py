"""Building one index, and a process of its own that opens it and asks it: how long, how much memory, which documents?

    python benchmarks/index_process.py KIND FOLDER QUERIES.npz DEEP

prints one line of JSON. ``QUERIES.npz`` holds ``vectors`` (all tokens, dim) and ``lengths`` (queries,); so many as DEEP
are asked for 100 documents too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

# Before NumPy is loaded: afterwards BLAS has its threads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
from token_graph import TokenGraph  # noqa: E402

from latelite import indexes  # noqa: E402
from latelite.indexes import hnsw, ranking  # noqa: E402
from latelite.indexes.ivf import search as ivf  # noqa: E402

KINDS: dict[str, Callable[[str], Any]] = {
    "Exact float32": lambda folder: indexes.Exact(folder, store="float32"),
    "Exact": indexes.Exact,
    "IVF": indexes.IVF,
    "HNSW": lambda folder: indexes.HNSW(folder, threads=1),
    "token graph": TokenGraph,
    "IVF lists": lambda folder: indexes.IVF(folder, scan_threshold=1),
}
"""What is compared, all on one thread and, but for the last, with default settings; "IVF lists" never scans."""

_WARM_QUERIES = 20
_WARM_SECONDS = 1.0


def build(kind: str, folder: Path, documents: Sequence[np.ndarray]) -> float | None:
    """Seconds that it took; None where it is there already."""
    if folder.exists():
        return None
    aside = folder.with_name(folder.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)  # of a run that was interrupted
    make = indexes.HNSW if kind == "HNSW" else KINDS[kind]  # which may link its tokens on all CPUs
    start = time.perf_counter()
    make(str(aside)).add_documents(range(len(documents)), documents)
    seconds = time.perf_counter() - start
    aside.rename(folder)
    return seconds


def ask(kind: str, folder: Path, queries: Sequence[np.ndarray], deep: int = 0) -> dict[str, Any]:
    """`measured`, in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "queries.npz"
        np.savez(path, vectors=np.concatenate(queries), lengths=[len(query) for query in queries])
        command = [sys.executable, __file__, kind, str(folder), str(path), str(deep)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


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


def measured(kind: str, folder: str, queries: list[np.ndarray], deep: int) -> dict[str, Any]:
    """Open, ask every query for 10 documents, and the first ``deep`` of them for 100.

    Some queries are asked before, for at most about `_WARM_SECONDS`, so that graphs are loaded and pages are mapped.
    """
    before = memory()
    start = time.perf_counter()
    index = KINDS[kind](folder)
    opened = time.perf_counter() - start
    scoring = Scoring()
    if isinstance(index, TokenGraph):
        scoring.watch(TokenGraph, "_rerank")
    else:
        scoring.watch(ivf, "maxsim_rows")
        scoring.watch(hnsw, "maxsim")
        scoring.watch(ranking, "maxsim")
        scoring.watch(ranking, "maxsim_batch")
    start = time.perf_counter()
    for query in queries[:_WARM_QUERIES]:
        if time.perf_counter() - start < _WARM_SECONDS:
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
        "top100": [[hit["id"] for hit in index([query], k=100)[0]] for query in queries[:deep]],
        "anonymous": after["anonymous"] - before["anonymous"],
        "resident": after["resident"] - before["resident"],
    }


def main(kind: str, folder: str, queries: str, deep: str) -> None:
    with np.load(queries) as arrays:
        vectors, lengths = arrays["vectors"], arrays["lengths"]
    split = [vectors[a:b] for a, b in pairwise(np.cumsum([0, *lengths]).tolist())]
    print(json.dumps(measured(kind, folder, split, int(deep))))


if __name__ == "__main__":
    main(*sys.argv[1:])
