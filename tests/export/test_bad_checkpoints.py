"""Checkpoints that cannot be reproduced are refused in one sentence, and nothing is left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from latelite_export import export
from latelite_export.errors import (
    CheckpointNotFoundError,
    ExportError,
    HubUnreachableError,
    IncompleteCheckpointError,
    RemoteCodeError,
    SettingError,
    UnsupportedCheckpointError,
)

Copy = Callable[[str], Path]


def refused(folder: Path | str, kind: type[ExportError], sentence: str, tmp_path: Path, **options: Any) -> None:
    """Export fails with ``kind`` and ``sentence``, on one line, and leaves nothing at or beside the output."""
    out = tmp_path / "bundles" / "out"
    with pytest.raises(kind, match=sentence) as caught:
        export(folder, out, scheme="fp32", **options)
    assert "\n" not in str(caught.value)
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def edit(path: Path, **content: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


def drop(path: Path, *names: str) -> None:
    save_file({name: value for name, value in load_file(path).items() if name not in names}, path)


def test_missing_backbone_weights(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    (folder / "model.safetensors").unlink()
    refused(folder, IncompleteCheckpointError, "holds no weights", tmp_path)


def test_one_missing_backbone_tensor(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    drop(folder / "model.safetensors", "encoder.layer.1.output.dense.weight")
    refused(folder, IncompleteCheckpointError, r"lack encoder\.layer\.1\.output\.dense\.weight", tmp_path)


def test_a_tensor_of_another_shape(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    edit(folder / "config.json", intermediate_size=72)
    refused(folder, IncompleteCheckpointError, "shape|cannot be loaded", tmp_path)


def test_truncated_weights(copy: Copy, tmp_path: Path) -> None:
    path = copy("bert-pylate") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    refused(path.parent, IncompleteCheckpointError, "cannot be loaded", tmp_path)


def test_missing_projection_weights(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    (folder / "1_Dense" / "model.safetensors").unlink()
    refused(folder, IncompleteCheckpointError, "1_Dense holds no weights", tmp_path)


def test_missing_bias_of_the_projection(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-attend")
    drop(folder / "1_Dense" / "model.safetensors", "linear.bias")
    refused(folder, IncompleteCheckpointError, "lacks linear.bias", tmp_path)


def test_no_projection(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:1]))
    refused(folder, IncompleteCheckpointError, "no projection", tmp_path)


def test_a_sentence_embedding_model(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    modules = json.loads((folder / "modules.json").read_text())
    modules.insert(1, {"idx": 1, "name": "1", "path": "1_P", "type": "sentence_transformers.models.Pooling"})
    modules[2]["idx"] = 2
    (folder / "modules.json").write_text(json.dumps(modules))
    refused(folder, UnsupportedCheckpointError, "pools its tokens into one vector", tmp_path)


def test_an_unknown_module(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "custom_code.Whiten"
    (folder / "modules.json").write_text(json.dumps(modules))
    refused(folder, UnsupportedCheckpointError, r"custom_code\.Whiten", tmp_path)


def test_a_base_model(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    (folder / "modules.json").unlink()
    refused(folder, UnsupportedCheckpointError, "expected one of: sentence-transformers.*pylate.*stanford", tmp_path)


def test_stanford_without_projection(copy: Copy, tmp_path: Path) -> None:
    folder = copy("stanford")
    drop(folder / "model.safetensors", "linear.weight")
    refused(folder, IncompleteCheckpointError, "lacks linear.weight", tmp_path)


def test_a_prefix_outside_the_vocabulary(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    edit(folder / "config_sentence_transformers.json", query_prefix="[QUERY] ")
    refused(folder, IncompleteCheckpointError, r"prefix '\[QUERY\] ' is not in the vocabulary", tmp_path)


def test_a_tokenizer_that_knows_more_tokens_than_the_encoder(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = "embeddings.word_embeddings.weight"
    rows = len(tensors[name]) - 3
    save_file(tensors | {name: np.ascontiguousarray(tensors[name][:rows])}, path)
    edit(folder / "config.json", vocab_size=rows)
    refused(folder, IncompleteCheckpointError, f"has embeddings for {rows}", tmp_path)


def test_no_tokenizer(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    (folder / "tokenizer.json").unlink()
    refused(folder, IncompleteCheckpointError, "holds no tokenizer", tmp_path)


def test_a_tokenizer_without_fast_form(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    edit(folder / "tokenizer_config.json", tokenizer_class="CanineTokenizer")
    refused(folder, UnsupportedCheckpointError, "fast form", tmp_path)


@pytest.mark.parametrize("setting", ["query_length", "document_length"])
def test_lengths_beyond_the_positions(checkpoint: Callable[[str], Path], tmp_path: Path, setting: str) -> None:
    sentence = f"{setting} is 513 .from argument.*only 512 positions"
    refused(checkpoint("bert-pylate"), SettingError, sentence, tmp_path, **{setting: 513})


def test_remote_code_is_not_run(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    edit(folder / "config.json", model_type="mine", auto_map={"AutoConfig": "mine.Config", "AutoModel": "mine.Model"})
    (folder / "mine.py").write_text("raise SystemExit('this code ran')")
    refused(folder, RemoteCodeError, "--trust-remote-code", tmp_path)


def test_an_unknown_architecture(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    edit(folder / "config.json", model_type="mine")
    refused(folder, UnsupportedCheckpointError, "architecture 'mine', which the exporter does not know", tmp_path)


def test_an_activation_that_is_not_torchs(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    edit(folder / "1_Dense" / "config.json", activation_function="os.system")
    refused(folder, UnsupportedCheckpointError, "'os.system' is not a class of torch.nn", tmp_path)


def test_rotary_scaling_of_a_newer_transformers(copy: Copy, tmp_path: Path) -> None:
    folder = copy("modernbert-transformers-5")
    rope = {"rope_type": "linear", "rope_theta": 20000.0, "factor": 2.0}
    edit(folder / "config.json", rope_parameters={"full_attention": rope, "sliding_attention": rope})
    refused(folder, UnsupportedCheckpointError, "rope_parameters", tmp_path)


def test_a_layer_pattern_of_a_newer_transformers(copy: Copy, tmp_path: Path) -> None:
    folder = copy("modernbert-transformers-5")
    kinds = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]
    edit(folder / "config.json", layer_types=kinds)
    refused(folder, UnsupportedCheckpointError, "layer_types", tmp_path)


def test_a_file_that_is_not_json(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    (folder / "config_sentence_transformers.json").write_text("{")
    refused(folder, IncompleteCheckpointError, "is not valid JSON", tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", CheckpointNotFoundError, "there is no folder", tmp_path)


def test_a_hub_id_without_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    refused("someone/some-model", CheckpointNotFoundError, "give its folder", tmp_path, offline=True)


def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    refused("someone/some-model", HubUnreachableError, "give its folder instead: latelite-export FOLDER", tmp_path)


def test_a_checkpoint_of_the_real_world_whose_weights_were_not_downloaded(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    (folder / "model.safetensors").unlink()
    shutil.rmtree(folder / "1_Dense")
    refused(folder, ExportError, "missing|no weights", tmp_path)
