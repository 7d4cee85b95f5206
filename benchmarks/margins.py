"""How many of the ten best does IVF find, on questions that its margins were not chosen by?

    python benchmarks/margins.py --data ../data/en-scifact ../data/*-lohelp --cache CACHE --work WORK --json results

``WORK`` holds indexes ``IVF-N`` and ``Exact-float32-N`` of the first N documents of the sets, one after another, as
benchmarks/index.py leaves them, and ``CACHE`` the token vectors. The margins are chosen on one half of the questions
and reported on the other, see halves.py. Rows: ``former`` margins (documents of step 3, of step 2 for each of these,
probed centroids: 256, 1.5, 20, at any size) and today's, asked by turns; recall@10 against float32; median and 90th
percentile ms of a query, median ms of processor time, one thread.

Scanning float32 takes half a second a question at 4.7 million tokens, so from ``--wide`` documents on the best ten are
those of a search with ten times as many candidates, scored with float32.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import beir  # noqa: E402
import halves  # noqa: E402
import numpy as np  # noqa: E402
import results  # noqa: E402

from latelite import device  # noqa: E402
from latelite.indexes import IVF, Exact  # noqa: E402
from latelite.indexes.ivf import search  # noqa: E402

MARGINS: dict[str, dict[str, Any]] = {
    "former": {"_INTERACTING": 1.5, "_GROWTH": 0, "_CENTROIDS_PER_PROBE": 1 << 30},
    "today": {},
}
"""Names of `latelite.indexes.ivf.search` and their values."""
WIDE = {"_INTERACTING": 2, "_RANKED": 120}
_WIDE_CANDIDATES, _WIDE_PROBES = 3000, 64
_AT_ONCE = 16


@contextmanager
def margins(values: dict[str, Any]) -> Iterator[None]:
    """With other margins."""
    kept = {name: getattr(search, name) for name in values}
    for name, value in values.items():
        setattr(search, name, value)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(search, name, value)


def questions(folder: Path, cache: Path, half: halves.Half) -> list[np.ndarray]:
    """Token vectors of a set's questions of one half."""
    (place,) = cache.glob(f"{folder.name}-*")
    flat, lengths = np.load(place / "queries.npy", mmap_mode="r"), np.load(place / "queries_lengths.npy")
    bounds = pairwise(np.cumsum([0, *lengths]).tolist())
    names = list(beir.load(folder).queries)
    return [np.array(flat[a:b]) for name, (a, b) in zip(names, bounds, strict=True) if halves.half(name) == half]


def best_ten(work: Path, documents: int, asked: Sequence[np.ndarray], *, wide: bool) -> list[set[Any]]:
    """The ten best documents of each question, by float32."""
    exact = Exact(str(work / f"Exact-float32-{documents}"), store="float32")
    if not wide:
        starts = range(0, len(asked), _AT_ONCE)
        return [
            {hit["id"] for hit in hits} for start in starts for hits in exact(asked[start : start + _AT_ONCE], k=10)
        ]
    index = IVF(str(work / f"IVF-{documents}"), n_probe=_WIDE_PROBES, n_candidates=_WIDE_CANDIDATES)
    found = []
    with margins(WIDE):
        for query in asked:
            candidates = [hit["id"] for hit in index([query], k=60)[0]]
            found.append({hit["id"] for hit in exact([query], k=10, subset=candidates)[0]})
    return found


def rows(
    work: Path, documents: int, half: str, asked: Sequence[np.ndarray], best: Sequence[Any]
) -> list[dict[str, Any]]:
    """A row for each of `MARGINS`, asked by turns."""
    index = IVF(str(work / f"IVF-{documents}"))
    figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in MARGINS}
    for query in asked[:10]:
        index([query], k=10)
    for query, wanted in zip(asked, best, strict=True):
        for name, values in MARGINS.items():
            with margins(values):
                start, busy = time.perf_counter(), time.process_time()
                (hits,) = index([query], k=10)
                took, worked = time.perf_counter() - start, time.process_time() - busy
            recall = len({hit["id"] for hit in hits} & wanted) / len(wanted)
            figures[name].append((recall, 1000 * took, 1000 * worked))
    found = []
    for name, taken in figures.items():
        recalls, wall, cpu = np.array(taken).T
        found.append(
            {
                "margins": name,
                "documents": documents,
                "half": half,
                "questions": len(recalls),
                "recall@10": round(float(recalls.mean()), 4),
                "standard_error": round(float(recalls.std() / len(recalls) ** 0.5), 4),
                "p50_ms": round(float(np.median(wall)), 2),
                "p90_ms": round(float(np.percentile(wall, 90)), 2),
                "cpu_ms": round(float(np.median(cpu)), 2),
            }
        )
        print(found[-1], flush=True)
    return found


def main() -> None:
    """Measure, print, and save the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders in the order of the indexes")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5183, 21731])
    parser.add_argument("--questions", type=int, default=160, help="of each half, evenly from the sets")
    parser.add_argument("--wide", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="write a result into this folder")
    options = parser.parse_args()
    before = device.state()
    found: list[dict[str, Any]] = []
    for documents in options.sizes:
        wide = documents >= options.wide
        for half in halves.HALVES:
            sets = [questions(folder, options.cache, half) for folder in (options.data if wide else options.data[:1])]
            share = options.questions // len(sets)
            asked = [each[i * len(each) // share] for each in sets for i in range(min(share, len(each)))]
            best = best_ten(options.work, documents, asked, wide=wide)
            found += rows(options.work, documents, half, asked, best)
    if options.json:
        command = "python benchmarks/margins.py --data DATA --cache CACHE --work WORK --json benchmarks/results"
        result = results.result_of("margins", {"rows": found}, command=command, before=before, after=device.state())
        print(results.save(result, options.json))


if __name__ == "__main__":
    main()
