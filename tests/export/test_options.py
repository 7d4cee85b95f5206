"""The effect of the exporter's options on vectors, and what needs an option."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite.manifest import MANIFEST_NAME, Manifest
from latelite.models import ColBERT
from latelite_export import export
from latelite_export.cli import main
from latelite_export.errors import SettingError, UnsupportedCheckpointError
from reference import golden
from reference.texts import TEXTS

Folder = Callable[[str], Path]
TOLERANCE = 1e-4


def edit(path: Path, drop: tuple[str, ...] = (), **content: Any) -> None:
    kept = {name: value for name, value in json.loads(path.read_text()).items() if name not in drop}
    path.write_text(json.dumps(kept | content))


def largest_difference(bundle: Path, name: str, dim: int | None = None) -> float:
    """Largest difference between a bundle's vectors and golden ones (or their renormalised first dimensions)."""
    expected = golden.load(name)
    model = ColBERT(bundle, precision="fp32", threads=1)
    worst = 0.0
    for is_query, side in ((True, expected.queries), (False, expected.documents)):
        actual = model.encode([TEXTS[key] for key in expected.names], is_query=is_query)
        for ours, theirs in zip(actual, side.vectors, strict=True):
            cut = theirs[:, :dim]
            cut = cut / np.linalg.norm(cut, axis=1, keepdims=True)
            worst = max(worst, float(np.abs(ours - cut).max()))
    return worst


def test_markers_and_attention_of_a_stanford_checkpoint_that_names_none(copy: Folder, tmp_path: Path) -> None:
    folder = copy("stanford")
    edit(
        folder / "artifact.metadata",
        ("query_token_id", "doc_token_id", "query_token", "doc_token", "attend_to_mask_tokens"),
    )
    out = tmp_path / "out"
    options = ["--query-prefix", "[unused0]", "--document-prefix", "[unused1]", "--attend-to-expansion", "off"]
    assert main([str(folder), "-o", str(out), "--scheme", "fp32", *options]) == 0
    manifest = Manifest.read(out)
    assert {manifest.sources[k] for k in ("query_prefix", "document_prefix", "attend_to_expansion_tokens")} == {
        "argument"
    }
    assert largest_difference(out, "stanford") <= TOLERANCE


def test_other_markers_are_other_vectors(copy: Folder, tmp_path: Path) -> None:
    manifest = export(copy("stanford"), tmp_path / "out", scheme="fp32", query_prefix="[unused1]")
    assert manifest.token_ids.query_prefix == manifest.token_ids.document_prefix
    model = ColBERT(tmp_path / "out", precision="fp32", threads=1)
    expected = golden.load("stanford")
    query = expected.queries.vectors[expected.names.index("english")]
    assert np.abs(model.encode([TEXTS["english"]], is_query=True)[0] - query).max() > 0.01


def test_attention_to_expansion_tokens_by_option(copy: Folder, tmp_path: Path) -> None:
    folder = copy("bert-attend")
    edit(folder / "config_sentence_transformers.json", ("attend_to_expansion_tokens",))
    assert main([str(folder), "-o", str(tmp_path / "out"), "--scheme", "fp32", "--attend-to-expansion"]) == 0
    assert largest_difference(tmp_path / "out", "bert-attend") <= TOLERANCE


@pytest.mark.parametrize("name", ["bert-pylate", "bert-two-dense", "qwen3"])
def test_fewer_dimensions_are_the_first_ones_at_unit_length(name: str, checkpoint: Folder, tmp_path: Path) -> None:
    manifest = export(checkpoint(name), tmp_path / "out", scheme="fp32", dim=8)
    assert manifest.dim == 8
    assert largest_difference(tmp_path / "out", name, 8) <= TOLERANCE


@pytest.mark.parametrize("dim", [0, -1, 17])
def test_dimensions_that_are_not_there(dim: int, checkpoint: Folder, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f"--dim {dim} is not between 1 and the 16 dimensions of bert-pylate"):
        export(checkpoint("bert-pylate"), tmp_path / "out", scheme="fp32", dim=dim)


def test_a_folder_has_no_revisions(checkpoint: Folder, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="leave out --revision main"):
        export(checkpoint("bert-pylate"), tmp_path / "out", scheme="fp32", revision="main")


@pytest.mark.parametrize("similarity", ["l2", "dot", "euclidean"])
@pytest.mark.parametrize("name", ["stanford", "bert-pylate", "st6-fixed"])
def test_another_similarity_is_refused(name: str, similarity: str, copy: Folder, tmp_path: Path) -> None:
    folder = copy(name)
    if name == "stanford":
        edit(folder / "artifact.metadata", similarity=similarity)
    else:
        edit(folder / "config_sentence_transformers.json", similarity_fn_name=similarity)
    with pytest.raises(UnsupportedCheckpointError, match=f"names the similarity '{similarity}'"):
        export(folder, tmp_path / "out", scheme="fp32")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"quantization_config": {"quant_method": "fp8"}}, "describes quantised weights"),
        ({"is_decoder": True}, "used as a decoder"),
        ({"add_cross_attention": True}, "only encoders can be exported"),
        ({"pruned_heads": {"0": [1]}}, "pruned heads"),
    ],
)
def test_what_a_configuration_says_beside_its_type(
    change: dict[str, Any], sentence: str, copy: Folder, tmp_path: Path
) -> None:
    folder = copy("bert-pylate")
    edit(folder / "config.json", **change)
    with pytest.raises(UnsupportedCheckpointError, match=sentence):
        export(folder, tmp_path / "out", scheme="fp32")


def test_an_adapter_is_refused_with_the_cure(copy: Folder, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(UnsupportedCheckpointError, match="merge it into its base model"):
        export(folder, tmp_path / "out", scheme="fp32")


@pytest.mark.parametrize("kind", ["llama", "t5", "mt5", "clip", "gpt2", "mamba"])
def test_other_architectures_are_refused_before_weights_are_read(kind: str, copy: Folder, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    edit(folder / "config.json", model_type=kind)
    (folder / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(UnsupportedCheckpointError, match=f"architecture '{kind}', which the exporter does not know"):
        export(folder, tmp_path / "out", scheme="fp32")


def test_an_output_that_is_a_link_is_replaced_and_what_it_points_to_is_left(checkpoint: Folder, tmp_path: Path) -> None:
    """A model folder on another disk, behind a link."""
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "bundles" / "out"
    export(checkpoint("bert-pylate"), elsewhere, scheme="fp32")
    before = (elsewhere / MANIFEST_NAME).read_bytes()
    out.parent.mkdir()
    out.symlink_to(elsewhere)
    assert main([str(checkpoint("bert-attend")), "-o", str(out), "--scheme", "fp32", "--override"]) == 0
    assert not out.is_symlink()
    assert Manifest.read(out).checkpoint["id"] == "bert-attend"
    assert (elsewhere / MANIFEST_NAME).read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


def test_texts_of_ones_own_choose_and_judge_the_int8_graph(checkpoint: Folder, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    words = TEXTS["700 words"].split()
    documents = [" ".join(words[i * 20 : i * 20 + 20 + i]) for i in range(30)]
    queries = [" ".join(words[i * 5 : i * 5 + 6]) for i in range(6)]
    (folder / "ja.json").write_text(json.dumps({"queries": queries, "documents": documents}))
    manifest = export(checkpoint("bert-pylate"), tmp_path / "out", gate_texts=folder)
    assert manifest.verification["int8"]["languages"].keys() == {"ja"}


FEW = json.dumps({"queries": list("abcd"), "documents": list("abcdefghij")})


@pytest.mark.parametrize("content", [None, "{", "[]", '{"queries": []}', '{"queries": ["a"], "documents": [3]}', FEW])
def test_texts_that_are_none_are_refused(content: str | None, checkpoint: Folder, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    if content is not None:
        (folder / "ja.json").write_text(content)
    assert main([str(checkpoint("bert-pylate")), "-o", str(tmp_path / "out"), "--gate-texts", str(folder)]) == 1
    assert not (tmp_path / "out").exists()


def test_an_unexpected_failure_is_one_sentence_and_debug_shows_where(
    checkpoint: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unordered_map::at")

    monkeypatch.setattr("latelite_export.graph.write", fail)
    arguments = [str(checkpoint("bert-pylate")), "-o", str(tmp_path / "out"), "--scheme", "fp32"]
    assert main(arguments) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("latelite-export: unexpected RuntimeError: unordered_map::at (use --debug")
    assert main([*arguments, "--debug"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
