"""The checkpoint folder that training writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from recipe.build import publish
from recipe.checkpoint import write_checkpoint
from recipe.encoder import PREFIXES, add_tokens
from recipe.errors import RecipeError
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models

LOGS = {"multilingual": {"tokens": 3}}


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    draw = np.random.default_rng(0)
    save_file({"x": draw.normal(size=(3, 4)).astype(np.float32)}, folder / "model.safetensors")
    dense = {"linear.weight": draw.normal(size=(2, 4)), "linear.bias": draw.normal(size=2)}
    save_file({name: value.astype(np.float32) for name, value in dense.items()}, folder / "dense.safetensors")
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 16, "torch_dtype": "float32"}))
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0))
    tokenizer.add_special_tokens([AddedToken("<unk>", special=True, normalized=False)])
    document = json.loads(tokenizer.to_str())
    add_tokens(document, list(PREFIXES))
    (folder / "tokenizer.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def folder(tmp_path: Path, trained: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    write_checkpoint(trained, {"name": "tiny"}, LOGS, folder)
    return folder


def test_weights_are_kept_in_half_precision(folder: Path, trained: Path) -> None:
    for path, original in (("model", "model"), ("1_Dense/model", "dense")):
        kept, before = load_file(folder / f"{path}.safetensors"), load_file(trained / f"{original}.safetensors")
        assert kept.keys() == before.keys()
        for name, value in kept.items():
            assert value.dtype == np.float16
            np.testing.assert_allclose(value, before[name], rtol=1e-3)
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == "float16"


def test_the_folder_has_the_layout_the_record_and_the_log(folder: Path, trained: Path) -> None:
    assert json.loads((folder / "recipe.json").read_text()) == {"name": "tiny"}
    assert json.loads((folder / "training.json").read_text()) == LOGS
    assert json.loads((folder / "1_Dense" / "config.json").read_text())["out_features"] == 2
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"1_Dense"}
    assert (folder / "tokenizer.json").read_bytes() == (trained / "tokenizer.json").read_bytes()


def test_publishing_leaves_the_card_and_refuses_what_is_not_a_checkpoint(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "published"
    publish(folder, out)
    (out / "README.md").write_text("the card")
    (out / "config.json").write_text("{}")
    publish(folder, out)
    assert (out / "README.md").read_text() == "the card"
    assert (out / "config.json").read_bytes() == (folder / "config.json").read_bytes()
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.txt").write_text("years of work")
    with pytest.raises(RecipeError, match="is not a checkpoint of this recipe"):
        publish(folder, foreign)
    assert [path.name for path in foreign.iterdir()] == ["chapter.txt"]
