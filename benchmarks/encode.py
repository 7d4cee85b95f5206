"""How fast is a text encoded? All engines on the same encoder, interleaved in one run.

    python benchmarks/encode.py                       # BERT and ModernBERT in the default shape, random weights
    python benchmarks/encode.py --bundle models/default-onnx --models
    python benchmarks/encode.py --models bert --threads 1 --json encode.json

Engines: ``torch`` (transformers and projection, fp32, inference mode, default attention, sdpa: the reference) and
``torch eager`` (products and softmax), ``plain fp32`` (a plain trace in ONNX Runtime with default options), ``plain
int8`` (the same through onnxruntime's quantize_dynamic, per channel), ``fused fp32`` and ``fused int8`` (written by
latelite-export, run by latelite's runtime), ``bundle ...`` (the graphs of ``--bundle``). With several threads also
``..., threads share a text``: all threads on each text, which the runtime does for long texts only.

Single texts: ms, 50th and 90th percentile of calls in blocks (see `timing.alternate`); ``fresh`` is the median of the
first call of each block. ``mixed``: 96 texts, with lengths from a log-normal distribution (median 110 tokens, sigma
0.6, clipped to 12..300, seed 0) or from ``--data``; PyTorch runs them sorted in padded batches of 32, the others one by
one. ``process``: start-up and memory, see `timing.probe`. ``quality``: token cosines to the plain fp32 trace.

``graph_choices.py`` compares other forms of the graph.
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
import markdown_table
import numpy as np
import tables
import timing
from encoders import Ids
from engines import Engine
from tokenizers import Tokenizer

from latelite.bundle import Bundle

LENGTHS = (8, 32, 180, 512, 2048)
MIXED = "mixed"
OURS = "fused int8"
_QUALITY_LENGTHS = (12, 40, 180, 400)


def measure(
    compared: Sequence[Engine],
    texts: Sequence[Ids],
    lengths: Sequence[int],
    seconds: float,
    vocabulary: int | None = None,
) -> dict[str, Any]:
    """Measure: engine -> column -> figures."""
    figures: dict[str, dict[str, Any]] = {engine.name: {} for engine in compared}
    for length in lengths:
        ids = encoders.random_text(length, vocabulary=vocabulary)
        times = timing.alternate({e.name: lambda e=e, ids=ids: e.call(ids) for e in compared}, seconds)  # type: ignore[misc]
        for name, taken in times.items():
            figures[name][str(length)] = taken.summary()
    times = timing.alternate({e.name: lambda e=e: e.corpus(texts) for e in compared}, seconds)  # type: ignore[misc]
    for name, taken in times.items():
        rate = len(texts) / float(np.median(taken.repeated))
        figures[name][MIXED] = taken.summary() | {"documents_per_second": rate}
    return figures


def ratios(measured: Mapping[str, Any], ours: str = OURS) -> dict[str, dict[str, float]]:
    """Engine -> column -> time divided by ours."""
    return {
        name: {column: cell["p50"] / measured[ours][column]["p50"] for column, cell in cells.items()}
        for name, cells in measured.items()
        if name != ours
    }


def quality(files: Mapping[str, Path]) -> dict[str, dict[str, float]]:
    """Graph -> mean and minimum token cosine to ``plain fp32``, on random texts."""
    texts = [encoders.random_text(length, seed=2) for length in _QUALITY_LENGTHS]
    exact = [engines.onnx_engine("", files["plain fp32"], 1).call(ids) for ids in texts]
    result = {}
    for name, path in files.items():
        call = engines.onnx_engine(name, path, 1).call
        cosines = np.concatenate([(a * call(ids)).sum(-1).ravel() for a, ids in zip(exact, texts, strict=True)])
        result[name] = {"cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min())}
    return result


def of_kind(kind: encoders.Kind, options: argparse.Namespace) -> dict[str, Any]:
    """All measurements of an encoder with random weights."""
    texts = encoders.mixed_texts(options.data)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        plain = encoders.write_plain(kind, Path(scratch))
        fused = encoders.write_fused(kind, Path(scratch))
        for threads in options.threads:
            compared = [engines.torch_engine(kind, attention, threads) for attention in ("sdpa", "eager")]
            compared += [engines.onnx_engine(name, path, threads) for name, path in plain.items()]
            compared += _ours(fused, threads)
            result[f"{threads} threads"] = measure(compared, texts, options.lengths, options.seconds)
        result |= _about(plain | fused, max(options.lengths))
        result["quality"] = quality(plain | fused)
    return result


def of_bundle(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All measurements of an exported model, up to its maximum length."""
    bundle = Bundle(folder)
    manifest = bundle.manifest
    vocabulary = Tokenizer.from_file(str(bundle.tokenizer_path)).get_vocab_size()
    files = {f"bundle {name}": folder / graph.file for name, graph in manifest.graphs.items()}
    lengths = [length for length in options.lengths if length <= manifest.max_positions]
    texts = encoders.mixed_texts(options.data, vocabulary=vocabulary, longest=min(300, manifest.max_positions))
    result: dict[str, Any] = {"id": manifest.checkpoint["id"], "fingerprint": manifest.fingerprint}
    for threads in options.threads:
        result[f"{threads} threads"] = measure(_ours(files, threads), texts, lengths, options.seconds, vocabulary)
    return result | _about(files, max(lengths))


def _ours(files: Mapping[str, Path], threads: int) -> list[Engine]:
    found = [engines.runtime_engine(name, path, threads) for name, path in files.items()]
    if threads > 1:
        found += [engines.sharing_engine(name, path, threads) for name, path in files.items() if "int8" in name]
    return found


def _about(files: Mapping[str, Path], longest: int) -> dict[str, Any]:
    return {
        "bytes": {name: path.stat().st_size for name, path in files.items()},
        "process": {
            f"{name}, {'with' if arena else 'without'} arena": timing.probe(str(path), arena=arena, tokens=longest)
            for name, path in files.items()
            for arena in (False, True)
        },
    }


def report(kind: str, result: Mapping[str, Any]) -> str:
    """Markdown tables of one encoder."""
    blocks: list[str] = []
    for title, measured in result.items():
        if not title.endswith(" threads"):
            continue
        threads = int(title.split()[0])
        blocks += tables.encoder({"results": {kind: result}}, threads).values()
        if OURS in measured:
            blocks.append(_ratio_table(ratios(measured)))
    blocks.append("\n".join(f"{name}: {size / 1e6:.1f} MB" for name, size in result["bytes"].items()))
    for name, cosines in result.get("quality", {}).items():
        blocks.append(f"{name}: token cosine mean {cosines['cosine_mean']:.5f}, least {cosines['cosine_min']:.5f}")
    for name, figures in result["process"].items():
        blocks.append(
            f"{name}: " + ", ".join(f"{key} {markdown_table.number(value)}" for key, value in figures.items())
        )
    return "\n\n".join(blocks)


def _ratio_table(found: Mapping[str, Mapping[str, float]]) -> str:
    columns = list(next(iter(found.values())))
    rows = [
        [f"{OURS} against {name}", *(f"{cells[column]:.2f} x" for column in columns)] for name, cells in found.items()
    ]
    return markdown_table.table(["times faster", *columns], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print tables and, with ``--json``, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=encoders.KINDS, choices=encoders.KINDS, help="random weights")
    parser.add_argument("--bundle", type=Path, help="folder written by latelite-export")
    parser.add_argument("--data", type=Path, help="corpus.jsonl to take text lengths from (1.35 tokens per word)")
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    parser.add_argument("--threads", nargs="+", type=int, default=(1, 2))
    parser.add_argument("--seconds", type=float, default=2.0, help="per engine and length")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    figures: dict[str, Any] = {"results": {}}
    for kind in options.models:
        figures["results"][kind] = of_kind(kind, options)
        print(report(kind, figures["results"][kind]), flush=True)
    if options.bundle:
        figures["results"]["bundle"] = of_bundle(options.bundle, options)
        print(report("bundle", figures["results"]["bundle"]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
