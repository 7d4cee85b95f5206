"""Stage *student*: fewer layers of the teacher over the cut vocabulary, and a projection to 128 dimensions.

Every third layer of the teacher is taken, the last among them. The projection is the teacher's own: the encoder's
last hidden state goes through the axes that the teacher's vectors are kept in and on to 128 dimensions.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

LAYERS = (0, 4, 8, 11)
LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")


def build_student(encoder: Path, teacher: Path, folder: Path) -> None:
    """Write the student's ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``dense.safetensors``."""
    weights = load_file(encoder / "model.safetensors")
    kept = {}
    for name, value in weights.items():
        match = LAYER.fullmatch(name)
        if not match:
            kept[name] = value
        elif int(match[1]) in LAYERS:
            kept[f"encoder.layer.{LAYERS.index(int(match[1]))}.{match[2]}"] = value
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((encoder / "config.json").read_text())
    config["num_hidden_layers"] = len(LAYERS)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    shutil.copyfile(encoder / "tokenizer.json", folder / "tokenizer.json")

    axes = load_file(teacher / "axes.safetensors")
    norm = weights[f"encoder.layer.{LAYERS[-1]}.output.LayerNorm.weight"]
    size = float(np.linalg.norm(norm))  # a LayerNorm's output has about the norm of its scale
    turned = axes["weight"] @ axes["turn"]
    dense = {"linear.weight": turned / size, "linear.bias": axes["bias"] - turned @ axes["shift"]}
    save_file({k: np.ascontiguousarray(v, np.float32) for k, v in dense.items()}, folder / "dense.safetensors")
