"""The mean of two students."""

from pathlib import Path

import torch
from recipe.averaging import average
from safetensors.torch import load_file, save_file


def test_weights_are_half_way_and_the_rest_is_the_first_ones(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "other", "mean")]
    for value, folder in enumerate(folders):
        folder.mkdir()
        if folder.name != "mean":
            (folder / "config.json").write_text(f'{{"of": "{folder.name}"}}')
            (folder / "tokenizer.json").write_text("{}")
            for name in ("model", "dense"):
                tensors = {"weight": torch.full((2, 3), float(value)), "ids": torch.arange(4)}
                save_file(tensors, folder / f"{name}.safetensors")
    average(*folders)
    for name in ("model", "dense"):
        found = load_file(folders[2] / f"{name}.safetensors")
        assert torch.equal(found["weight"], torch.full((2, 3), 0.5))
        assert torch.equal(found["ids"], torch.arange(4))
    assert (folders[2] / "config.json").read_text() == '{"of": "one"}'
