"""How small, how fast, how exact is each index? Against `Exact` on float32, one thread, one query at a time.

    python benchmarks/index.py --bundle models/default-onnx --data DATA/en-scifact --cache CACHE
    python benchmarks/index.py --data DATA/en-scifact DATA/*-lohelp --cache CACHE --sizes 1300 5183 21731 --work WORK

Documents and queries are real text from folders in BEIR layout, encoded with the bundle and kept in ``--cache``. A size
is a number of documents, from the first on, of all sets one after another; queries are taken evenly from the sets that
it reaches into. Each index is built on one thread in one call, and asked in a process of its own; with ``--work``, an
index that is there already is asked again without being built.

Columns: ``disk``, bytes a token of the whole folder; ``anonymous`` and ``resident``, MB (10^6) that the process gained
by opening the index and asking, without and with the mapped files that it touched; ``recall``, share of the documents
of the float32 scan that are found; ``p50`` and so on, ms for ten documents; ``cpu``, median ms of processor time, which
other work on the machine disturbs less; ``scoring``, median ms that were spent on MaxSim over tokens, and
``candidates``, the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

# Before NumPy is loaded: afterwards BLAS has its threads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import index_process  # noqa: E402
import numpy as np  # noqa: E402
import token_graph  # noqa: E402
import token_vectors  # noqa: E402

from latelite import models  # noqa: E402

BASE = "Exact float32"


def asked(sets: Sequence[token_vectors.EncodedSet], documents: int, wanted: int) -> list[np.ndarray]:
    """``wanted`` queries, evenly from the sets that the first ``documents`` documents are from."""
    starts = list(accumulate((len(each.documents) for each in sets), initial=0))[:-1]
    reached = [each.queries for each, start in zip(sets, starts, strict=True) if start < documents]
    found: list[np.ndarray] = []
    for number, queries in enumerate(reached):
        share = (wanted * (number + 1)) // len(reached) - len(found)
        found += [queries[i * len(queries) // share] for i in range(min(share, len(queries)))]
    return found


def build(kind: str, folder: Path, documents: Sequence[np.ndarray]) -> float | None:
    """Seconds that it took; None where it is there already."""
    if folder.exists():
        return None
    aside = folder.with_name(folder.name + ".part")
    start = time.perf_counter()
    index_process.KINDS[kind](str(aside)).add_documents(range(len(documents)), documents)
    seconds = time.perf_counter() - start
    aside.rename(folder)
    return seconds


def ask(kind: str, folder: Path, queries: Sequence[np.ndarray]) -> dict[str, Any]:
    """`index_process.measured`, in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "queries.npz"
        np.savez(path, vectors=np.concatenate(queries), lengths=[len(query) for query in queries])
        command = [sys.executable, index_process.__file__, kind, str(folder), str(path)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def row(
    kind: str, folder: Path, documents: Sequence[np.ndarray], seconds: float | None, found: Any, base: Any
) -> dict[str, Any]:
    """One line of the table."""
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
        "recall@100": recall(found["top100"], base["top100"]),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders in BEIR layout")
    parser.add_argument("--cache", type=Path, default=Path("models/build/vectors"), help="for token vectors")
    parser.add_argument("--work", type=Path, help="keep the indexes here")
    parser.add_argument("--sizes", type=int, nargs="+", help="documents; default: all")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", default=list(index_process.KINDS), choices=list(index_process.KINDS))
    parser.add_argument("--graphs-until", type=int, default=1_500_000, help="tokens; larger graphs are left out")
    parser.add_argument("--baseline-until", type=int, default=400_000, help="tokens; the same for the token graph")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()

    model = models.ColBERT(options.bundle)
    sets = [token_vectors.encoded(folder, model, options.cache) for folder in options.data]
    documents = [document for each in sets for document in each.documents]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in options.sizes or [len(documents)]:
            part = documents[:size]
            tokens = sum(map(len, part))
            queries = asked(sets, len(part), options.queries)
            limits = {"HNSW": options.graphs_until, "token graph": options.baseline_until}
            kinds = [kind for kind in options.kinds if tokens <= limits.get(kind, tokens)]
            base: Any = None
            for kind in [BASE, *(kind for kind in kinds if kind != BASE)]:
                folder = (options.work or Path(scratch)) / f"{kind.replace(' ', '-')}-{len(part)}"
                seconds = build(kind, folder, part)
                if options.build_only:
                    print(f"{kind}, {len(part)} documents, {tokens} tokens: built in {seconds} s", flush=True)
                    continue
                found = ask(kind, folder, queries)
                base = base or found
                rows.append(row(kind, folder, part, seconds, found, base))
                print(json.dumps(rows[-1]), flush=True)
    if options.json:
        names = [each.data.name for each in sets]
        options.json.write_text(json.dumps({"sets": names, "queries": options.queries, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
