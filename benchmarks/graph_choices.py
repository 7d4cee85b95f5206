"""Is the graph that latelite-export writes the fastest? Variants with one choice changed, interleaved in one run.

    python benchmarks/graph_choices.py
    python benchmarks/graph_choices.py --lengths 180 --only "q, k and v packed" --json choices.json

Encoder: BERT in the default shape with random weights, int8, one thread. All variants compute the same function;
``cosine`` is the minimum token cosine to the exported graph (int8 rounding amplifies the smallest differences). A ratio
above 1 means that a variant is slower. Variants: see `graph_variants`; also ``masked``, the graph written for models
whose queries have unattended tokens.

Results may differ on another CPU; then change the graph that `latelite_export.graph` writes, not the runtime.

Also tried, on one thread of a Xeon with AVX512-VNNI and AMX, ONNX Runtime 1.32:

- int8 products in attention, one layer of 180 tokens: queries times keys take 0.27 ms (fp32: 0.19), because 24 columns
  are too few; weights times values take 0.08 ms (fp32: 0.20), but quantising the weights takes 0.11.
- MatMulNBits with 8 or 4 bits: 120 Gop/s; the int8 product reaches 500 to 900.
- Attention on untransposed heads (FusedMatMul with transBatchA): as fast as `attention as products`, but only for one
  text at a time.
- Padding only the values to 32 columns per head, which also enlarges the kernel's blocks: no change.

Why attention cannot get much faster: at 2048 tokens, the operator's kernel spends 55 % of its time in fp32 products at
156 GFLOPS (180 of the CPU's 210, counting the kernel's padding of 24 columns to 32), 20 % in exponentials and maxima,
12 % in packing keys and values, and 5 % in copies. With only products and exponentials at peak speed it would take 35
instead of 56 ms, and a text of 512 tokens about 32 instead of 50 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import encoders
import engines
import graph_variants
import onnx
import tables
import timing

from latelite.session import session_options

LENGTHS = (8, 32, 64, 180, 512)
EXPORTED = "as exported"


def graphs(only: Sequence[str] | None, folder: Path) -> dict[str, Path]:
    """Name -> ONNX file; the exported graph first."""
    from latelite_export import graph
    from latelite_export.quantize import quantize

    exported = onnx.load(encoders.write_fused("bert", folder)["fused int8"])
    masked = graph.write(encoders.encoder("bert", "eager"), masked=True)
    if masked is None:
        raise RuntimeError("latelite-export has no fused graph for bert.")
    made = {EXPORTED: exported, "masked": quantize(masked, "int8"), **graph_variants.variants(exported)}
    if only is not None:
        made = {name: model for name, model in made.items() if name in (EXPORTED, *only)}
    files = {}
    for number, (name, model) in enumerate(made.items()):
        files[name] = folder / f"{number}.onnx"
        onnx.save(model, files[name])
    return files


def measure(files: Mapping[str, Path], lengths: Sequence[int], seconds: float) -> dict[str, dict[str, Any]]:
    """Variant -> length -> times, and ``ratio`` to the exported graph; also its minimum cosine."""
    calls = {name: engines.onnx_engine(name, path, 1, options=session_options()).call for name, path in files.items()}
    figures: dict[str, dict[str, Any]] = {name: {"cosine": 1.0} for name in calls}
    for length in lengths:
        ids = encoders.random_text(length)
        exact = calls[EXPORTED](ids)
        for name, call in calls.items():
            figures[name]["cosine"] = min(figures[name]["cosine"], float((call(ids) * exact).sum(-1).min()))
        times = timing.alternate({name: lambda c=call, i=ids: c(i) for name, call in calls.items()}, seconds)  # type: ignore[misc]
        for name, taken in times.items():
            figures[name][str(length)] = taken.summary()
        for name in calls:
            ratio = figures[name][str(length)]["p50"] / figures[EXPORTED][str(length)]["p50"]
            figures[name][str(length)]["ratio"] = ratio
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table and, with ``--json``, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    parser.add_argument("--only", nargs="+", metavar="VARIANT", choices=["masked", *graph_variants.VARIANTS])
    parser.add_argument("--seconds", type=float, default=2.0, help="per variant and length")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        variants = measure(graphs(options.only, Path(scratch)), options.lengths, options.seconds)
    figures = {"threads": 1, "variants": variants}
    print(tables.choices(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
