"""How fast is a text encoded? Every engine on the same encoder, interleaved in one run.

    python benchmarks/encode.py                       # BERT and ModernBERT in the default shape, random weights
    python benchmarks/encode.py --bundle models/default-onnx --models
    python benchmarks/encode.py --threads 1 --seconds 4 --json encode.json

Engines: `torch` (transformers and projection, fp32, inference mode), `plain fp32` (a plain trace in ONNX Runtime),
`plain int8` (the same through onnxruntime's quantize_dynamic, per channel: what is usually shipped), both with default
session options; `fused fp32` and `fused int8` (what latelite-export writes), `bundle ...` (the graphs of --bundle).

Single texts: wall time of one call, 50th and 90th percentile, all engines in turn. Mixed corpus: 96 texts, lengths from
a log-normal distribution (median 110 tokens, sigma 0.6, cut to 12..300, seed 0), or counted from --data. Torch takes
them sorted in padded batches of 32, the others sorted and alone. With two threads, the fused graphs run a second time
with one single-threaded call on each of two workers. On a machine that others use, --clock cpu counts processor time
instead (one thread only).

What each change gave: one thread, the shape below, a Xeon with AVX512-VNNI that others used too, ONNX Runtime 1.32.
Figures of one line were taken together, those of different lines were not.

| change | measured on | before | after |
|---|---|---|---|
| Add + LayerNormalization, not SkipLayerNormalization | ten of 180 tokens | 2.33 ms | 0.28 |
| attention without a mask (flash), not products and softmax | one layer, 512 / 2048 tokens | 5.5 / 78 ms | 3.9 / 53 |
| Gelu, its bias in the product, not BiasGelu | ten of 180 tokens | 0.67 ms | 0.45 |
| q, k, v as three products of one quantised input, not one and a Split | ten layers of 180 tokens | 7.15 ms | 6.96 |
| unattended keys left out, not masked: what a document pays | 32 / 180 tokens | 2.18 / 12.7 ms | 2.29 / 12.6 |
| ModernBERT's window in blocks, not a bias over all pairs | one layer, 512 / 2048 tokens | 15.4 / 281 ms | 6.0 / 25 |
| ModernBERT's masked weights kept from being denormal | one layer, 512 / 2048 tokens | 5.0 / 32 ms | 2.5 / 15 |
| ModernBERT's block shapes computed once, not in each layer | 8 / 32 tokens | 1.88 / 3.32 ms | 1.62 / 3.08 |

Tried and left out: attention as separate products on untransposed heads (FusedMatMul with transBatchA: 0.53 instead of
0.61 ms for one layer of 180 tokens, but 5.6 instead of 4.1 for 512, and one text at a time only); int8 products of
queries with keys and weights with values (0.94 ms); MatMulNBits with 8 or 4 bits (120 Gop/s, the int8 product has 500);
unsigned weights (as fast as signed ones up to ONNX Runtime 1.23, a fifth of their speed in 1.29 and later).

ONNX Runtime itself matters as much: the int8 products of 180 tokens ran at 840 to 900 Gop/s in 1.20 to 1.31 and at 500
in 1.32.0 on that CPU, which has AMX; the whole text took 10.2 and 12.3 ms.

Memory, fused int8: 82 MB after a query; after a text of 2048 tokens 116 MB without arena, 104 with arena and memory
pattern, 97 if the run is told to shrink the arena (`memory.enable_memory_arena_shrinkage`). The arena saves 2 to 4 % of
the time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTHS = (8, 32, 180, 512, 2048)
MIXED = "mixed"
KINDS = ("bert", "modernbert")
LAYERS, HIDDEN, HEADS, FFN, VOCABULARY, POSITIONS, DIM = 10, 288, 12, 512, 30522, 2048, 128

Ids = NDArray[np.int64]
Call = Callable[[Ids], Any]


@dataclass
class Engine:
    """Something that encodes ids."""

    name: str
    call: Call
    """int64 (1, tokens) -> token vectors."""
    batch: Callable[[Sequence[Ids]], Any]
    """A whole corpus, sorted by length."""


def main() -> None:
    arguments = _arguments()
    if arguments.probe:
        print(json.dumps(_probe(*arguments.probe)))
        return
    lengths = tuple(arguments.lengths)
    report: dict[str, Any] = {"machine": _machine(), "clock": arguments.clock, "results": {}}
    corpus = _corpus(arguments.data)
    with tempfile.TemporaryDirectory() as scratch:
        for kind in arguments.models:
            files = _graphs(kind, Path(scratch))
            report["results"][kind] = _measure(kind, files, corpus, lengths, arguments)
            report["results"][kind]["quality"] = _quality(files)
    if arguments.bundle:
        files, positions = _bundle(arguments.bundle)
        fitting = [length for length in lengths if length <= positions]
        short = [ids[:, :positions] for ids in corpus]
        report["results"]["bundle"] = _measure(None, files, short, fitting, arguments)
    _print(report, lengths)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=KINDS, choices=KINDS, help="encoders with random weights")
    parser.add_argument("--bundle", type=Path, help="folder written by latelite-export")
    parser.add_argument("--data", type=Path, help="corpus.jsonl whose texts' lengths are taken (1.35 tokens a word)")
    parser.add_argument("--lengths", nargs="*", type=int, default=LENGTHS)
    parser.add_argument("--threads", nargs="*", type=int, default=(1, 2))
    parser.add_argument("--seconds", type=float, default=2.0, help="for each engine and length")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", help="file to write")
    parser.add_argument("--probe", nargs=3, metavar=("GRAPH", "ARENA", "TOKENS"), help=argparse.SUPPRESS)
    return parser.parse_args()


# --- encoders


def _encoder(kind: str) -> Any:
    """An encoder with random weights in the default shape."""
    import torch
    from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel

    from latelite_export.encoder import Encoder

    torch.manual_seed(0)
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": FFN,
        "max_position_embeddings": POSITIONS,
        "attn_implementation": "eager",
    }
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    if kind == "bert":
        backbone: Any = BertModel(BertConfig(**sizes), add_pooling_layer=False)
    else:
        backbone = ModernBertModel(ModernBertConfig(**sizes, **special, reference_compile=False))
    with torch.no_grad():
        for name, weight in backbone.named_parameters():
            if weight.dim() == 2:
                weight.normal_(0.0, 1.0 if "embed" in name else 1.2 * weight.shape[1] ** -0.5)
            else:
                weight.normal_(0.0 if name.endswith("bias") else 1.0, 0.1)
    encoder = Encoder(backbone, [], ("input_ids", "attention_mask")).eval()
    encoder.head = torch.nn.Sequential(torch.nn.Linear(HIDDEN, DIM, bias=False))
    return encoder


def _graphs(kind: str, folder: Path) -> dict[str, Path]:
    """Engine -> ONNX file."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from latelite_export import trace as plain
    from latelite_export.graph import quantise, trace

    encoder = _encoder(kind)
    files = {
        name: folder / f"{kind}-{name}.onnx".replace(" ", "-")
        for name in ("plain fp32", "plain int8", "fused fp32", "fused int8")
    }
    onnx.save(plain.trace(encoder), files["plain fp32"])
    quantize_dynamic(
        files["plain fp32"],
        files["plain int8"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    fused = trace(encoder, masked=False)
    assert fused is not None
    onnx.save(fused.model, files["fused fp32"])
    onnx.save(quantise(fused.model), files["fused int8"])
    return files


def _bundle(folder: Path) -> tuple[dict[str, Path], int]:
    """Engine -> ONNX file, and the longest text."""
    from latelite.manifest import Manifest

    manifest = Manifest.read(folder)
    files = {f"bundle {name}": folder / graph.file for name, graph in manifest.graphs.items()}
    return files, manifest.max_positions


def _corpus(data: Path | None, texts: int = 96) -> list[Ids]:
    """Random ids of real or made-up lengths, shortest first."""
    stream = np.random.default_rng(0)
    if data is None:
        lengths = np.clip(np.exp(stream.normal(np.log(110), 0.6, texts)), 12, 300).astype(int)
    else:
        with data.open(encoding="utf-8") as file:
            lines = [json.loads(line) for _, line in zip(range(texts), file, strict=False)]
        words = [len(re.findall(r"\w+", f"{line.get('title', '')} {line['text']}")) for line in lines]
        lengths = np.clip(3 + np.array(words) * 1.35, 4, 300).astype(int)
    return [stream.integers(1000, 30000, (1, length)) for length in sorted(lengths)]


# --- engines


def _session(path: Path, threads: int, *, arena: bool = False) -> Call:
    """A session as the runtime makes it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = arena
    options.enable_mem_pattern = arena
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    fill = {"attention_mask": np.ones, "token_type_ids": np.zeros}

    def call(ids: Ids) -> Any:
        return session.run(None, {n: ids if n == "input_ids" else fill[n](ids.shape, np.int64) for n in names})[0]

    return call


def _torch(kind: str) -> Engine:
    import torch

    encoder = _encoder(kind)

    def call(ids: Ids) -> Any:
        with torch.inference_mode():
            tensor = torch.from_numpy(ids)
            return encoder(tensor, torch.ones_like(tensor))

    def batch(corpus: Sequence[Ids]) -> None:
        with torch.inference_mode():
            for start in range(0, len(corpus), 32):
                texts = corpus[start : start + 32]
                ids = torch.zeros((len(texts), texts[-1].shape[1]), dtype=torch.int64)
                mask = torch.zeros_like(ids)
                for row, text in enumerate(texts):
                    ids[row, : text.shape[1]] = torch.from_numpy(text[0])
                    mask[row, : text.shape[1]] = 1
                encoder(ids, mask)

    return Engine("torch", call, batch)


def _engines(kind: str | None, files: dict[str, Path], threads: int) -> list[Engine]:
    engines = []
    if kind is not None:
        import torch

        torch.set_num_threads(threads)
        engines.append(_torch(kind))
    for name, path in files.items():
        call = _session(path, threads, arena=name.startswith("plain"))
        engines.append(Engine(name, call, lambda corpus, call=call: [call(ids) for ids in corpus]))  # type: ignore[misc]
        if threads > 1 and not name.startswith("plain"):
            single = _session(path, 1)
            workers = ThreadPoolExecutor(threads)

            def batch(corpus: Sequence[Ids], workers: ThreadPoolExecutor = workers, single: Call = single) -> None:
                list(workers.map(single, reversed(corpus)))

            engines.append(Engine(f"{name}, {threads} workers", single, batch))
    return engines


# --- measuring


def _measure(
    kind: str | None, files: dict[str, Path], corpus: list[Ids], lengths: Sequence[int], arguments: argparse.Namespace
) -> dict[str, Any]:
    result: dict[str, Any] = {"bytes": {name: path.stat().st_size for name, path in files.items()}}
    for threads in arguments.threads:
        clock = time.process_time if arguments.clock == "cpu" and threads == 1 else time.perf_counter
        engines = _engines(kind, files, threads)
        single = [engine for engine in engines if "workers" not in engine.name]
        stream = np.random.default_rng(1)
        table: dict[str, dict[str, Any]] = {engine.name: {} for engine in engines}
        for length in lengths:
            ids = stream.integers(1000, 30000, (1, length))
            times = _race({e.name: lambda e=e, ids=ids: e.call(ids) for e in single}, arguments.seconds, clock)  # type: ignore[misc]
            for name, taken in times.items():
                table[name][str(length)] = _percentiles(taken)
        times = _race({e.name: lambda e=e: e.batch(corpus) for e in engines}, arguments.seconds, clock)  # type: ignore[misc]
        for name, taken in times.items():
            table[name][MIXED] = _percentiles(taken) | {"documents_per_second": len(corpus) / float(np.median(taken))}
        result[f"{threads} threads"] = table
    result["process"] = {
        f"{name}, {'with' if arena else 'without'} arena": _probe_apart(path, arena, max(lengths))
        for name, path in files.items()
        for arena in (False, True)
    }
    return result


def _race(calls: dict[str, Callable[[], Any]], seconds: float, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of each call, all in turn, so that whatever disturbs one disturbs all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or len(next(iter(times.values()))) < 3:
        for name, call in calls.items():
            start = clock()
            call()
            times[name].append(clock() - start)
    return times


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """In ms."""
    p50, p90 = np.percentile(seconds, [50, 90]) * 1e3
    return {"p50": float(p50), "p90": float(p90), "min": float(min(seconds)) * 1e3, "calls": len(seconds)}


def _probe_apart(path: Path, arena: bool, tokens: int) -> dict[str, float]:
    """`_probe` in a process of its own."""
    command = [sys.executable, __file__, "--probe", str(path), str(int(arena)), str(tokens)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def _probe(path: str, arena: str, tokens: str) -> dict[str, float]:
    """Start-up and memory of a process that imports NumPy and ONNX Runtime only."""
    start = time.perf_counter()
    call = _session(Path(path), 1, arena=arena == "1")
    loaded = time.perf_counter()
    ids = np.full((1, 32), 1000, dtype=np.int64)
    call(ids)
    first = time.perf_counter()
    before = _resident()
    call(np.full((1, int(tokens)), 1000, dtype=np.int64))
    peak = _peak()
    call(ids)
    return {
        "load_ms": (loaded - start) * 1e3,
        "first_call_ms": (first - loaded) * 1e3,
        "resident_mb": before,
        "peak_mb": peak,
        "resident_after_long_text_mb": _resident(),
    }


def _status(key: str) -> float:
    """A size from /proc in MB; 0 where there is no /proc."""
    status = Path("/proc/self/status")
    found = re.search(rf"{key}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1e3 if found else 0.0


def _resident() -> float:
    return _status("VmRSS")


def _peak() -> float:
    return _status("VmHWM")


def _quality(files: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Token cosine to the plain fp32 trace on random texts."""
    stream = np.random.default_rng(2)
    texts = [stream.integers(1000, 30000, (1, length)) for length in (12, 40, 180, 400)]
    exact = [_session(files["plain fp32"], 1)(ids) for ids in texts]
    result = {}
    for name, path in files.items():
        call = _session(path, 1)
        pairs = zip(exact, map(call, texts), strict=True)
        cosines = np.concatenate([(a * b).sum(-1).ravel() for a, b in pairs])
        result[name] = {"cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min())}
    return result


def _machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    if name := re.search(r"model name\s*:\s*(.+)", text):
        cpu = name[1]
    flags = {flag for line in re.findall(r"(?:flags|Features)\s*:\s*(.+)", text)[:1] for flag in line.split()}
    known = {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm"}
    packages = {name: version(name) for name in ("onnxruntime", "numpy")}
    return {"cpu": cpu, "cpus": os.cpu_count(), "features": sorted(flags & known), "packages": packages}


# --- printing


def _print(report: dict[str, Any], lengths: Sequence[int]) -> None:
    machine = report["machine"]
    print(f"{machine['cpu']}, {machine['cpus']} CPUs ({' '.join(machine['features'])}), {machine['packages']}")
    columns = [*map(str, lengths), MIXED]
    for kind, result in report["results"].items():
        for threads, table in ((key, value) for key, value in result.items() if key.endswith("threads")):
            print(
                f"\n{kind}, {threads}: ms p50 / p90 ({report['clock']} time), documents a second for the mixed corpus"
            )
            print(f"{'':24}" + "".join(f"{column:>18}" for column in columns))
            for name, row in table.items():
                print(f"{name:24}" + "".join(f"{_cell(row.get(column)):>18}" for column in columns))
            for base in ("torch", "plain int8"):
                if base in table:
                    print(f"{'int8 over ' + base:24}" + "".join(f"{_ratio(table, base, c):>18}" for c in columns))
        for name, size in result["bytes"].items():
            print(f"{name}: {size / 1e6:.1f} MB {result.get('quality', {}).get(name, '')}")
        for name, figures in result["process"].items():
            print(f"{name}: " + ", ".join(f"{key} {value:.0f}" for key, value in figures.items()))


def _cell(figures: dict[str, float] | None) -> str:
    if figures is None:
        return ""
    if "documents_per_second" in figures:
        return f"{figures['documents_per_second']:.1f}"
    return f"{figures['p50']:.2f} / {figures['p90']:.2f}"


def _ratio(table: dict[str, Any], base: str, column: str) -> str:
    return f"{table[base][column]['p50'] / table['fused int8'][column]['p50']:.2f}x"


if __name__ == "__main__":
    main()
