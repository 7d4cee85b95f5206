"""What does an export cost? Time, memory and file sizes from 16 to 350 million parameters.

Figures per checkpoint: ``parameters`` (millions, including the projection), ``weights`` ("trained" or "random"),
``stored`` (the checkpoint's dtype), ``seconds`` (the whole process, including imports), ``cpu_seconds`` (all threads),
``peak_mb`` (resident memory), ``fp32_mb`` and ``int8_mb`` (files), ``int8_cosine`` (mean token cosine to fp32 on the
judging half of the gate's texts), ``int8_plain`` (on the calibration half, before any repair), ``smoothed`` and
``fp32`` (number of products that the repair smoothed, or kept in fp32).

Random weights are easy to quantise. Trained ones, like the default model's, may need repair, which encodes the texts
several more times.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results import ROOT, result_of, save

from latelite import device

sys.path.insert(0, str(ROOT / "tests"))

DEFAULT = ROOT / "models" / "latelite-colbert-16m"
_DENSE = "pylate.models.Dense.Dense"
_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "33m": {"kind": "bert", "layers": 12, "hidden": 384, "heads": 12, "ffn": 1536, "rows": 30_522, "stored": "F32"},
    "118m": {"kind": "bert", "layers": 12, "hidden": 384, "heads": 12, "ffn": 1536, "rows": 250_037, "stored": "F32"},
    "150m": {
        "kind": "modernbert",
        "layers": 22,
        "hidden": 768,
        "heads": 12,
        "ffn": 1152,
        "rows": 50_368,
        "stored": "BF16",
    },
    "350m": {"kind": "bert", "layers": 24, "hidden": 1024, "heads": 16, "ffn": 4096, "rows": 45_000, "stored": "BF16"},
}
"""BERT's small shape, multilingual-e5-small's, ModernBERT's base, BERT's large with a larger vocabulary."""
NAMES = ("16m", *_SHAPES)


def write_random(name: str, folder: Path) -> None:
    """Write a PyLate checkpoint with random weights; its tokenizer has only the first rows of the embeddings."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel

    from reference import checkpoints, vocabularies
    from reference.case import NO_EXPANSION, PUNCTUATION, PYLATE, Case
    from reference.case import Dense as Projection

    shape = _SHAPES[name]
    kind: vocabularies.Kind = "wordpiece-uncased" if shape["kind"] == "bert" else "modernbert"
    tiny = Case(
        name=name,
        about="a shape",
        backbone=shape["kind"],
        tokenizer=kind,
        layers=1,
        heads=4,
        positions=512,
        head=(Projection(128, residual=False),),
        settings={**PYLATE, **NO_EXPANSION, **PUNCTUATION},
    )
    checkpoints.write(tiny, folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    start = vocabularies.build(kind, tiny.added_tokens).size
    for number in range(start, shape["rows"]):
        vocabulary[f"unused{number}"] = number
    (folder / "tokenizer.json").write_text(json.dumps(content))
    torch.manual_seed(0)
    sizes = {
        "vocab_size": shape["rows"],
        "hidden_size": shape["hidden"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "intermediate_size": shape["ffn"],
        "max_position_embeddings": 512,
    }
    if shape["kind"] == "bert":
        made: Any = BertModel(BertConfig(**sizes), add_pooling_layer=False)  # type: ignore[no-untyped-call]
    else:
        made = ModernBertModel(ModernBertConfig(**sizes, pad_token_id=0, reference_compile=False))
    dtype = torch.bfloat16 if shape["stored"] == "BF16" else torch.float32
    save_file({k: v.to(dtype).contiguous() for k, v in made.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**made.config.to_dict(), "architectures": [type(made).__name__]}))
    dense = folder / "1_Dense"
    config = json.loads((dense / "config.json").read_text()) | {"in_features": shape["hidden"]}
    (dense / "config.json").write_text(json.dumps(config))
    projection = torch.nn.Linear(shape["hidden"], 128, bias=False).weight.detach()
    save_file({"linear.weight": projection.to(dtype)}, dense / "model.safetensors")


def measure(name: str, checkpoint: Path, weights: str, under: list[str]) -> dict[str, Any]:
    """Export once with the command line, in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "bundle"
        code = "import sys; from latelite_export.cli import main; sys.exit(main(sys.argv[1:]))"
        start = time.monotonic()
        process = subprocess.Popen(
            [*under, sys.executable, "-c", code, str(checkpoint), "-o", str(out), "--json"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        said = process.stderr.read()
        process.wait()
        seconds = time.monotonic() - start
        if process.returncode:
            raise RuntimeError(f"{name}: {said.strip().splitlines()[-1]}")
        manifest = json.loads((out / "manifest.json").read_text())
        details = manifest["graphs"]["int8"]["details"]
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "weights": weights,
            "seconds": round(seconds, 1),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
            "peak_mb": round(used.ru_maxrss / 1e3),
            "fp32_mb": round((out / "model.onnx").stat().st_size / 1e6, 1),
            "int8_mb": round((out / "model_int8.onnx").stat().st_size / 1e6, 1),
            "int8_cosine": manifest["verification"]["int8"]["cosine_mean"],
            "int8_plain": details["plain"]["cosine_mean"],
            "smoothed": len(details.get("smoothed", ())),
            "fp32": len(details.get("fp32", ())),
        }


def parameters(checkpoint: Path) -> tuple[float, str]:
    """Millions of parameters, and the most frequent dtype."""
    from safetensors import safe_open

    count, stored = 0, ""
    for path in checkpoint.rglob("model.safetensors"):
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118
                part = file.get_slice(name)
                size = 1
                for n in part.get_shape():
                    size *= n
                count += size
                stored = stored or str(part.get_dtype())
    return round(count / 1e6, 1), stored


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=NAMES, action="append", help="default: all")
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="another one, with trained weights"
    )
    parser.add_argument("--under", default="", help="command to run each export under, such as nice")
    parser.add_argument("--json", type=Path, help="folder to save the figures in; adds to existing ones")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, folder, weights = options.child
        print(json.dumps(measure(name, Path(folder), weights, options.under.split())))
        return
    before = device.state()
    figures: dict[str, Any] = {}
    for name in options.only or ([] if options.checkpoint else NAMES):
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = DEFAULT if name == "16m" else Path(folder)
            if name != "16m":
                write_random(name, checkpoint)
            figures[name] = one(name, checkpoint, "trained" if name == "16m" else "random", options.under)
    for checkpoint in options.checkpoint:
        figures[checkpoint.resolve().name] = one(checkpoint.name, checkpoint, "trained", options.under)
    if options.json:
        words = ["benchmarks/export_cost.py", *(f"--only {name}" for name in options.only or ())]
        words += [f"--checkpoint {path.name}" for path in options.checkpoint]
        part = "-".join((*(options.only or ()), *(path.name for path in options.checkpoint))) or None
        result = result_of("export", figures, part=part, command=" ".join(words), before=before, after=device.state())
        print(save(result, options.json))


def one(name: str, checkpoint: Path, weights: str, under: str) -> dict[str, Any]:
    """The figures of one checkpoint, measured in a process whose only child is the export."""
    command = [sys.executable, __file__, "--child", name, str(checkpoint.resolve()), weights, "--under", under]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ)
    millions, stored = parameters(checkpoint)
    found = {"parameters": millions, "stored": stored, **json.loads(done.stdout.splitlines()[-1])}
    print(name, json.dumps(found), file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    main()
