"""Stages *averaged*, *settled*, *named* and *sharpened*: the mean of two students' weights.

What continued training wins and what it loses lie on a line between its start and its end (Wortsman et al., 2022,
"Robust fine-tuning of zero-shot models"): the middle is better than both ends here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file


def average(one: Path, other: Path, folder: Path) -> None:
    """Write the student half way from ``one`` to ``other``, which share vocabulary and shape."""
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(one / name, folder / name)
    for name in ("model.safetensors", "dense.safetensors"):
        first, second = load_file(one / name), load_file(other / name)
        mean = {key: (value + second[key]) / 2 if value.is_floating_point() else value for key, value in first.items()}
        save_file(mean, folder / name, metadata={"format": "pt"})
