"""Weights in one file or in shards give the same encoder; files with more than weights are refused."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from latelite_export import configuration, encoder, export, layouts, tensors, tokenizer
from latelite_export.checkpoint import Overrides
from latelite_export.errors import IncompleteCheckpointError, UnsupportedCheckpointError

Copy = Callable[[str], Path]
BASES = ("bert-pylate", "stanford", "st6-fixed", "bert-fp16")


def fingerprint(folder: Path) -> str:
    """Of the encoder with its projection: names, shapes and values."""
    resolved = layouts.read(folder, folder.name, None, Overrides())
    config = configuration.read(resolved.backbone)
    return encoder.build(resolved, tokenizer.load(resolved, config.parsed), config).fingerprint


def as_shards(folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(stored)
    parts = {f"model-0000{i + 1}-of-00003.safetensors": names[i::3] for i in range(3)}
    for file, part in parts.items():
        save_file({name: stored[name] for name in part}, folder / file)
    index = {"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def as_pickle(folder: Path) -> None:
    for file in sorted(folder.rglob("model.safetensors")):
        torch.save(load_file(file), file.with_name("pytorch_model.bin"))
        file.unlink()


def as_pickled_shards(folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(stored)
    parts = {f"pytorch_model-0000{i + 1}-of-00002.bin": names[i::2] for i in range(2)}
    for file, part in parts.items():
        torch.save({name: stored[name] for name in part}, folder / file)
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("cut", [as_shards, as_pickle, as_pickled_shards])
def test_however_the_weights_are_cut(
    name: str, cut: Callable[[Path], None], checkpoint: Callable[[str], Path], copy: Copy
) -> None:
    folder = copy(name)
    cut(folder)
    assert not (folder / "model.safetensors").exists()
    assert fingerprint(folder) == fingerprint(checkpoint(name))


@pytest.mark.parametrize("name", ["bert-pylate", "stanford"])
def test_a_missing_shard_is_named(name: str, copy: Copy, tmp_path: Path) -> None:
    folder = copy(name)
    as_shards(folder)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(IncompleteCheckpointError, match=r"model-00002-of-00003\.safetensors is missing"):
        export(folder, tmp_path / "out", scheme="fp32")


class _Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("where", [".", "1_Dense"])
def test_a_pickle_is_read_as_weights_only(where: str, copy: Copy, tmp_path: Path) -> None:
    folder, marker = copy("bert-pylate"), tmp_path / "this-code-ran"
    (folder / where / "model.safetensors").unlink()
    (folder / where / "pytorch_model.bin").write_bytes(pickle.dumps({"linear.weight": _Payload(marker)}))
    with pytest.raises(IncompleteCheckpointError, match="cannot be loaded"):
        export(folder, tmp_path / "out", scheme="fp32")
    assert not marker.exists()


@pytest.mark.parametrize("more", ["lora_A.default.weight", "adapter.down.weight", "extra"])
def test_tensors_that_nothing_makes_use_of_are_refused(more: str, copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    stored = load_file(folder / "model.safetensors")
    name = "encoder.layer.0.attention.self.query.weight"
    save_file(
        stored | {f"encoder.layer.0.attention.self.query.{more}": stored[name].clone()}, folder / "model.safetensors"
    )
    with pytest.raises(UnsupportedCheckpointError, match="does not have"):
        export(folder, tmp_path / "out", scheme="fp32")


def test_a_language_models_head_is_left_out(checkpoint: Callable[[str], Path], copy: Copy) -> None:
    """As saved by ``BertForMaskedLM``, with the old names of norms."""
    folder = copy("bert-pylate")
    stored = load_file(folder / "model.safetensors")
    old = {
        f"bert.{name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta')}": value
        for name, value in stored.items()
    }
    save_file(old | {"cls.predictions.bias": torch.zeros(7)}, folder / "model.safetensors")
    assert fingerprint(folder) == fingerprint(checkpoint("bert-pylate"))


def test_more_than_one_file_holds_is_said_before_the_work_begins(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """600 million parameters in a file with only a header: nothing else may be read."""
    folder = copy("bert-pylate")
    count = 600_000_000
    header = json.dumps({"big.weight": {"dtype": "F16", "shape": [count], "data_offsets": [0, 2 * count]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + 2 * count)
    monkeypatch.setattr(tensors, "read", lambda _: pytest.fail("the weights were read"))
    with pytest.raises(UnsupportedCheckpointError, match=r"600 million parameters, 2\.4 GB in fp32"):
        export(folder, tmp_path / "out", scheme="fp32")
