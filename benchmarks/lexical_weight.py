"""Does the best weight of the words depend on the model? On folders in BEIR layout, as benchmarks/hybrid.py.

    python benchmarks/lexical_weight.py --data ../data/*-xquad --cache models/build/hybrid --json benchmarks/results

Hybrid search adds MaxSim / query tokens and a weight times BM25 / its upper bound. How far apart MaxSim sets documents
differs between models, and for one model between queries that are filled up with expansion tokens and those that are
not. For each bundle, with expansion off and on:

spread    mean over the questions of the deviation of MaxSim / query tokens over a set's documents, mean over the sets
best      the weight that is best on the first half of the questions, mean over the sets, see halves.py
curve     nDCG@10 of the second half for each of the weights
gain      points of the second half that the best weight gains over the runtime's default
scaled    the same for the default times the spread over that of the first bundle without expansion: what an export
          could choose from texts without judgements
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import halves  # noqa: E402
import hybrid  # noqa: E402
import numpy as np  # noqa: E402
import results  # noqa: E402

from latelite import device, models  # noqa: E402
from latelite.manifest import LEXICAL_WEIGHT  # noqa: E402

WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8)


def measure(sets: Sequence[hybrid.Set], spread_of_first: float | None) -> dict[str, Any]:
    """The figures of one model; see the module's docstring."""
    first, second, spreads = [], [], []

    def curve(data: hybrid.Set, weights: Sequence[float], half: halves.Half) -> list[float]:
        rows = [number for number, query in enumerate(data.queries) if halves.half(query) == half]
        return [data.ndcg(data.semantic + np.float32(weight) * data.terms, rows) for weight in weights]

    for data in sets:
        spreads.append(float(data.semantic.std(axis=1).mean()))
        first.append(curve(data, WEIGHTS, "choice"))
        second.append(curve(data, WEIGHTS, "report"))
        print(data.name, round(spreads[-1], 4), [round(value, 3) for value in second[-1]], flush=True)
    means = np.mean(second, axis=0)
    spread = float(np.mean(spreads))
    scaled = LEXICAL_WEIGHT * spread / (spread_of_first or spread)
    best = int(np.argmax(np.mean(first, axis=0)))
    usual = float(means[WEIGHTS.index(LEXICAL_WEIGHT)])
    of_scaled = float(np.mean([curve(data, [scaled], "report") for data in sets]))
    return {
        "spread": round(spread, 4),
        "best": WEIGHTS[best],
        "curve": dict(zip(map(str, WEIGHTS), (round(float(value), 4) for value in means), strict=True)),
        "gain": round(100 * (float(means[best]) - usual), 2),
        "scaled": {"weight": round(scaled, 3), "gain": round(100 * (of_scaled - usual), 2)},
    }


def main() -> None:
    """Measure, print, and save the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, nargs="+", default=[Path("models/default-onnx")])
    parser.add_argument("--data", nargs="+", required=True, help="folders")
    parser.add_argument("--queries", type=int, default=300, help="questions of each set")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--json", type=Path, help="write a result into this folder")
    options = parser.parse_args()
    before = device.state()
    rows: list[dict[str, Any]] = []
    for bundle in options.bundles:
        for expansion in (False, True):
            model = models.ColBERT(bundle, precision="int8", threads=1, do_query_expansion=expansion)
            cache = options.cache / ("expansion" if expansion else "plain")
            cache.mkdir(parents=True, exist_ok=True)
            sets = [hybrid.Set(Path(folder), None, model, cache, options.queries) for folder in options.data]
            spread = rows[0]["spread"] if rows else None
            rows.append({"model": model.manifest.checkpoint["id"], "expansion": expansion, **measure(sets, spread)})
            print(rows[-1], flush=True)
    if options.json:
        command = "python benchmarks/lexical_weight.py --data DATA --cache CACHE --json benchmarks/results"
        figures = {"sets": [Path(folder).name for folder in options.data], "queries per set": options.queries}
        result = results.result_of(
            "lexical_weight", figures | {"rows": rows}, command=command, before=before, after=device.state()
        )
        print(results.save(result, options.json))


if __name__ == "__main__":
    main()
