"""Is the graph that latelite-export writes the fastest here? One choice undone at a time, all in turn in one run.

    python benchmarks/graph_choices.py
    python benchmarks/graph_choices.py --lengths 180 --only "q, k and v packed" --json choices.json

Encoder: BERT in the default shape with random weights, int8, one thread. Every variant computes the same; ``cosine`` is
the least cosine of its token vectors to those of the exported graph (rounding to int8 makes less than one of the
slightest difference). A ratio above 1 says how many times longer a variant takes. Variants: see `graph_variants`, and
``masked``, which is what the exporter writes for models whose queries hold tokens that nobody attends to.

On another CPU the answers may differ; then change the form that `latelite_export.graph` writes, not the runtime.

Tried elsewhere and left out, on one thread of a Xeon with AVX512-VNNI and AMX, ONNX Runtime 1.32:

- int8 products in attention, one layer of 180 tokens: queries with keys 0.27 ms where fp32 takes 0.19, for 24 columns
  are too few; weights with values 0.08 where fp32 takes 0.20, but quantising the weights takes 0.11.
- MatMulNBits with 8 or 4 bits: 120 Gop/s, where the int8 product has 500 to 900.
- Attention on untransposed heads (FusedMatMul with transBatchA): as fast as `attention as products`, and for one text
  at a time only.
- Padding values only to 32 columns a head, which also enlarges the kernel's blocks: no change.

Why attention does not get faster: in the operator's kernel, at 2048 tokens, 55 % of the time are fp32 products at 156
GFLOPS (180 of the 210 that the CPU reaches, with the kernel's padding of 24 columns to 32), 20 % exponentials and
maxima, 12 % packing of keys and values, 5 % copies. At peak, with nothing but products and exponentials, it would take
35 of its 56 ms, and a whole text of 512 tokens about 32 of 50 ms.
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
    """Variant -> length -> times and ``ratio`` to the exported graph; and its least cosine."""
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
    parser.add_argument("--seconds", type=float, default=2.0, help="for each variant and length")
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
