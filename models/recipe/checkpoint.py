"""Stage *checkpoint*: the trained student in PyLate's layout and half precision, with its training log."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from recipe.layout import write_layout

NAME = "latelite-colbert-16m"


def write_checkpoint(
    trained: Path, record: Mapping[str, Any], logs: Mapping[str, Mapping[str, Any]], folder: Path
) -> None:
    """Write the checkpoint to ``folder``; ``record`` describes how it was made, ``logs`` has each phase's log."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        encoder, projection = Path(scratch) / "encoder", Path(scratch) / "projection"
        for part, name in ((encoder, "model"), (projection, "dense")):
            part.mkdir()
            halved = {
                key: value.astype(np.float16) for key, value in load_file(trained / f"{name}.safetensors").items()
            }
            save_file(halved, part / "model.safetensors", metadata={"format": "pt"})
        config = json.loads((trained / "config.json").read_text())
        config["torch_dtype"] = "float16"
        (encoder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        shutil.copyfile(trained / "tokenizer.json", encoder / "tokenizer.json")
        write_layout(encoder, projection, record, folder)
    (folder / "training.json").write_text(json.dumps(dict(logs), indent=2, ensure_ascii=False) + "\n")
