"""The folder that the recipe writes, from a tiny encoder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recipe.encoder import EMBEDDINGS, add_tokens, build_encoder
from recipe.errors import ChecksumError, RecipeError
from recipe.layout import write_layout
from recipe.stages import run_stage
from recipe.wheels import check, sha256
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

SUBWORDS = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁query", "▁passage", ":", "▁haus", "!", "<mask>"]
KEEP = np.array([0, 1, 2, 3, 4, 8, 9, 10])


def tokenizer(subwords: list[str]) -> Tokenizer:
    made = Tokenizer(models.Unigram([(subword, -float(i)) for i, subword in enumerate(subwords)], unk_id=3))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    tokenizer(SUBWORDS).save(str(folder / "tokenizer.json"))
    config = {"model_type": "bert", "hidden_size": 4, "max_position_embeddings": 16, "vocab_size": len(SUBWORDS) + 2}
    (folder / "config.json").write_text(json.dumps({**config, "_name_or_path": "elsewhere"}))
    rows = np.random.default_rng(0).normal(size=(len(SUBWORDS) + 2, 4)).astype(np.float32)
    other: dict[str, Any] = {
        "pooler.dense.weight": np.zeros((4, 4), np.float32),
        "embeddings.position_ids": np.arange(16)[None],
    }
    save_file({EMBEDDINGS: rows, "encoder.x": np.ones(4, np.float32), **other}, folder / "model.safetensors")
    return folder


@pytest.fixture
def encoder(tmp_path: Path, source: Path) -> Path:
    vocabulary, folder = tmp_path / "vocabulary", tmp_path / "encoder"
    vocabulary.mkdir()
    folder.mkdir()
    tokenizer([SUBWORDS[i] for i in KEEP]).save(str(vocabulary / "tokenizer.json"))
    (vocabulary / "subwords.json").write_text(json.dumps([SUBWORDS[i] for i in KEEP]))
    (vocabulary / "words.json").write_text("{}")
    build_encoder(source, vocabulary, folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, encoder: Path) -> Path:
    projection, out = tmp_path / "projection", tmp_path / "out"
    projection.mkdir()
    out.mkdir()
    dense = {"linear.weight": np.ones((2, 4), np.float32), "linear.bias": np.zeros(2, np.float32)}
    save_file(dense, projection / "model.safetensors")
    write_layout(encoder, projection, {"name": "tiny"}, out)
    return out


def test_the_embedding_has_the_kept_rows_and_two_prefixes(encoder: Path, source: Path) -> None:
    before = load_file(source / "model.safetensors")[EMBEDDINGS]
    weights = load_file(encoder / "model.safetensors")
    after = weights[EMBEDDINGS]
    np.testing.assert_array_equal(after[: len(KEEP)], before[KEEP])
    np.testing.assert_allclose(after[-2], (before[5] + before[7]) / 2)  # "▁query" and ":"
    np.testing.assert_allclose(after[-1], (before[6] + before[7]) / 2)
    assert sorted(weights) == [EMBEDDINGS, "encoder.x"]


def test_the_encoder_config_fits_the_cut(encoder: Path) -> None:
    config = json.loads((encoder / "config.json").read_text())
    assert config["vocab_size"] == len(KEEP) + 2
    assert config["pad_token_id"] == 1
    assert "_name_or_path" not in config


def test_the_layout_is_pylates(folder: Path) -> None:
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "1_Dense/config.json",
        "1_Dense/model.safetensors",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "recipe.json",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert [module["path"] for module in json.loads((folder / "modules.json").read_text())] == ["", "1_Dense"]
    dense = json.loads((folder / "1_Dense" / "config.json").read_text())
    assert dense == {
        "in_features": 4,
        "out_features": 2,
        "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }


def test_settings_name_tokens_that_exist(folder: Path) -> None:
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert settings["do_query_expansion"] is False
    assert made.token_to_id(settings["query_prefix"]) == len(KEEP)
    assert made.token_to_id(settings["document_prefix"]) == len(KEEP) + 1
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert made.token_to_id(config["mask_token"]) is not None
    assert config["added_tokens_decoder"][str(len(KEEP))]["content"] == settings["query_prefix"]


def test_two_writes_give_the_same_bytes(tmp_path: Path, folder: Path, encoder: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    write_layout(encoder, tmp_path / "projection", {"name": "tiny"}, again)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes(), path.name


def test_a_stage_runs_once_for_the_same_inputs(tmp_path: Path) -> None:
    runs: list[Path] = []

    def build(out: Path) -> None:
        runs.append(out)
        (out / "x").write_text(str(len(runs)))

    first = run_stage(tmp_path, "stage", {"seed": 1}, build)
    assert run_stage(tmp_path, "stage", {"seed": 1}, build) == first
    assert (first / "x").read_text() == "1"
    assert (run_stage(tmp_path, "stage", {"seed": 2}, build) / "x").read_text() == "2"


def test_a_stage_that_fails_leaves_the_old_output(tmp_path: Path) -> None:
    def write_good(out: Path) -> None:
        (out / "x").write_text("good")

    done = run_stage(tmp_path, "stage", {"seed": 1}, write_good)

    def fail(out: Path) -> None:
        (out / "x").write_text("half")
        raise RecipeError("the index is down")

    with pytest.raises(RecipeError):
        run_stage(tmp_path, "stage", {"seed": 2}, fail)
    assert (done / "x").read_text() == "good"


def test_a_resumable_stage_finds_what_it_had_left_unless_its_inputs_changed(tmp_path: Path) -> None:
    def killed(out: Path) -> None:
        (out / "half").write_text("half")
        raise KeyboardInterrupt

    def finish(out: Path) -> None:
        (out / "whole").write_text("whole" if (out / "half").exists() else "from the start")

    for seed, expected in ((1, "whole"), (2, "from the start")):
        with pytest.raises(KeyboardInterrupt):
            run_stage(tmp_path, f"stage{seed}", {"seed": 1}, killed, resumable=True)
        done = run_stage(tmp_path, f"stage{seed}", {"seed": seed}, finish, resumable=True)
        assert (done / "whole").read_text() == expected


def test_a_wrong_checksum_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.whl"
    path.write_bytes(b"right")
    check(path, sha256(path))
    with pytest.raises(ChecksumError, match=r"x\.whl has SHA-256"):
        check(path, sha256(path)[::-1])


def test_prefix_tokens_do_not_touch_the_text_around_them() -> None:
    document = json.loads(tokenizer(SUBWORDS).to_str())
    add_tokens(document, ["[Q] "])
    made = Tokenizer.from_str(json.dumps(document))
    assert made.encode("haus!").ids == tokenizer(SUBWORDS).encode("haus!").ids
