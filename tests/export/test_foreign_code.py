"""Checkpoints with their own code or an unknown class: the right encoder, a decision by the user, or an error.

A model card may say ``CompressedModernBertModel`` where the weights are a BERT of ten layers. Such a folder can look in
many ways; each has one right outcome.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from latelite.models import ColBERT
from latelite_export import configuration, export
from latelite_export.architectures import ARCHITECTURES
from latelite_export.errors import ExportError, IncompleteCheckpointError, RemoteCodeError, UnsupportedCheckpointError
from reference import golden
from reference.texts import TEXTS

Copy = Callable[[str], Path]
CLASS = "CompressedModernBertModel"
CODE = {"AutoConfig": "mine.CompressedModernBertConfig", "AutoModel": f"mine.{CLASS}"}


def edit(path: Path, **content: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


def bring_code(folder: Path, marker: Path) -> None:
    """Add working code that leaves a trace when it runs: a BERT under another name."""
    (folder / "mine.py").write_text(
        f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n"
        "from transformers import BertConfig, BertModel\n\n\n"
        "class CompressedModernBertConfig(BertConfig):\n    model_type = 'compressed_modernbert'\n\n\n"
        f"class {CLASS}(BertModel):\n    config_class = CompressedModernBertConfig\n"
    )


def is_the_golden(bundle: Path, name: str) -> bool:
    expected = golden.load(name)
    model = ColBERT(bundle, precision="fp32", threads=1)
    actual = model.encode([TEXTS[key] for key in expected.names], is_query=False)
    return all(np.abs(a - e).max() <= 1e-4 for a, e in zip(actual, expected.documents.vectors, strict=True))


def test_a_plain_bert_under_a_foreign_class_name_is_a_bert_and_the_manifest_says_so(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    edit(folder / "config.json", architectures=[CLASS])
    manifest = export(folder, tmp_path / "out", scheme="fp32")
    assert manifest.checkpoint["architecture"] == "BertModel"
    assert manifest.checkpoint["notes"] == [
        f"config.json names the class {CLASS!r}; its model_type and all its tensors are those of bert."
    ]
    assert is_the_golden(tmp_path / "out", "bert-pylate")


def test_a_modernbert_under_a_foreign_class_name_is_a_modernbert(copy: Copy, tmp_path: Path) -> None:
    folder = copy("modernbert")
    edit(folder / "config.json", architectures=[CLASS])
    manifest = export(folder, tmp_path / "out", scheme="fp32")
    assert manifest.checkpoint["architecture"] == "ModernBertModel"
    assert CLASS in manifest.checkpoint["notes"][0]
    assert is_the_golden(tmp_path / "out", "modernbert")


def test_berts_weights_with_modernberts_configuration_are_refused(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    edit(folder / "config.json", model_type="modernbert", architectures=[CLASS])
    with pytest.raises(ExportError, match=r"lack|does not have|not match|not a valid"):
        export(folder, tmp_path / "out", scheme="fp32")


def test_modernberts_weights_with_berts_configuration_are_refused(copy: Copy, tmp_path: Path) -> None:
    folder = copy("modernbert")
    edit(folder / "config.json", model_type="bert", architectures=[CLASS])
    with pytest.raises(IncompleteCheckpointError, match="lack"):
        export(folder, tmp_path / "out", scheme="fp32")


def test_other_tensors_under_berts_name_are_refused(copy: Copy, tmp_path: Path) -> None:
    """A compressed encoder, whose layers have one more tensor than BERT's."""
    folder = copy("bert-pylate")
    stored = load_file(folder / "model.safetensors")
    save_file(stored | {"encoder.layer.0.gate.weight": np.ones((4, 4), np.float32)}, folder / "model.safetensors")
    edit(folder / "config.json", architectures=[CLASS])
    with pytest.raises(UnsupportedCheckpointError, match=r"encoder\.layer\.0\.gate\.weight"):
        export(folder, tmp_path / "out", scheme="fp32")


def test_a_type_of_its_own_without_code_is_refused(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    edit(folder / "config.json", model_type="compressed_modernbert", architectures=[CLASS])
    with pytest.raises(UnsupportedCheckpointError, match="'compressed_modernbert', which the exporter does not know"):
        export(folder, tmp_path / "out", scheme="fp32")


@pytest.mark.parametrize("kind", ["bert", "compressed_modernbert"])
def test_code_of_its_own_asks_for_a_decision(kind: str, copy: Copy, tmp_path: Path) -> None:
    folder, marker = copy("bert-pylate"), tmp_path / "this-code-ran"
    bring_code(folder, marker)
    edit(folder / "config.json", model_type=kind, architectures=[CLASS], auto_map=CODE, trust_remote_code=True)
    with pytest.raises(RemoteCodeError, match="--trust-remote-code") as caught:
        export(folder, tmp_path / "out", scheme="fp32")
    assert ("--ignore-remote-code" in str(caught.value)) == (kind == "bert")
    assert not marker.exists()


def test_code_that_is_ignored_does_not_run(copy: Copy, tmp_path: Path) -> None:
    folder, marker = copy("bert-pylate"), tmp_path / "this-code-ran"
    bring_code(folder, marker)
    edit(folder / "config.json", architectures=[CLASS], auto_map=CODE)
    manifest = export(folder, tmp_path / "out", scheme="fp32", ignore_remote_code=True)
    assert not marker.exists()
    assert f"names its own code (mine.{CLASS}), which was ignored" in manifest.checkpoint["notes"][0]
    assert is_the_golden(tmp_path / "out", "bert-pylate")


def test_code_that_is_ignored_cannot_name_an_unknown_type(copy: Copy, tmp_path: Path) -> None:
    folder, marker = copy("bert-pylate"), tmp_path / "this-code-ran"
    bring_code(folder, marker)
    edit(folder / "config.json", model_type="compressed_modernbert", auto_map=CODE)
    with pytest.raises(UnsupportedCheckpointError, match="which the exporter does not know"):
        export(folder, tmp_path / "out", scheme="fp32", ignore_remote_code=True)
    assert not marker.exists()


def test_code_that_is_trusted_makes_the_encoder(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder, marker = copy("bert-pylate"), tmp_path / "this-code-ran"
    bring_code(folder, marker)
    edit(folder / "config.json", model_type="compressed_modernbert", architectures=[CLASS], auto_map=CODE)
    manifest = export(folder, tmp_path / "out", scheme="fp32", trust_remote_code=True)
    assert marker.exists()
    assert manifest.checkpoint["architecture"] == CLASS
    assert manifest.graphs["fp32"].details["graph"] == "as traced"
    assert manifest.checkpoint["notes"] == [f"loaded with its own code: mine.{CLASS}."]
    assert is_the_golden(tmp_path / "out", "bert-pylate")


def test_code_in_another_repository_needs_a_commit(copy: Copy, tmp_path: Path) -> None:
    folder = copy("bert-pylate")
    elsewhere = {name: f"someone/elsewhere--{value}" for name, value in CODE.items()}
    edit(folder / "config.json", model_type="compressed_modernbert", auto_map=elsewhere)
    with pytest.raises(RemoteCodeError, match=r"someone/elsewhere; read it, and name the commit .* --code-revision"):
        export(folder, tmp_path / "out", scheme="fp32", trust_remote_code=True)


def test_code_in_another_repository_is_asked_for_at_that_commit(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy("bert-pylate")
    elsewhere = {name: f"someone/elsewhere--{value}" for name, value in CODE.items()}
    edit(folder / "config.json", model_type="compressed_modernbert", auto_map=elsewhere)
    asked: dict[str, Any] = {}

    def loaded(_: Path, **options: Any) -> object:
        asked.update(options)
        return object()

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", loaded)
    read = configuration.read(folder, trust_remote_code=True, code_revision="c0ffee")
    assert asked == {"local_files_only": False, "trust_remote_code": True, "code_revision": "c0ffee"}
    assert read.code_revision == "c0ffee"
    assert read.notes[0].endswith("at c0ffee.")


@pytest.mark.parametrize("kind", ["lightglue", "superglue", "encoder-decoder", "bert"])
def test_a_nested_configuration_runs_nothing(kind: str, copy: Copy, tmp_path: Path) -> None:
    """CVE-2026-5241: a configuration inside another, loaded with the trust that the file itself claims."""
    folder, marker = copy("bert-pylate"), tmp_path / "this-code-ran"
    inner = folder / "inner"
    inner.mkdir()
    bring_code(inner, marker)
    (inner / "config.json").write_text(json.dumps({"model_type": "compressed_modernbert", "auto_map": CODE}))
    nested = {"model_type": "compressed_modernbert", "_name_or_path": str(inner), "trust_remote_code": True}
    keys = {"bert": ("backbone_config",), "encoder-decoder": ("encoder", "decoder")}
    edit(
        folder / "config.json",
        model_type=kind,
        trust_remote_code=True,
        _name_or_path=str(inner),
        _attn_implementation_internal="someone/kernel",
        **dict.fromkeys(keys.get(kind, ("keypoint_detector_config",)), nested | {"auto_map": CODE}),
    )
    if kind == "bert":
        export(folder, tmp_path / "out", scheme="fp32")
        assert is_the_golden(tmp_path / "out", "bert-pylate")
    else:
        with pytest.raises(UnsupportedCheckpointError, match="which the exporter does not know"):
            export(folder, tmp_path / "out", scheme="fp32")
    assert not marker.exists()


def test_what_transformers_would_act_on_is_taken_out_at_any_depth(copy: Copy) -> None:
    folder = copy("bert-pylate")
    acts = {"trust_remote_code": True, "_attn_implementation_internal": "x", "_name_or_path": "x", "use_kernels": True}
    edit(folder / "config.json", **acts, text_config={**acts, "auto_map": CODE, "hidden_size": 8})
    raw = configuration.read(folder).raw
    assert not acts.keys() & raw.keys()
    assert raw["text_config"] == {"hidden_size": 8}


def test_only_encoders_that_are_known_are_tried() -> None:
    """transformers has about five hundred types, including vision and speech."""
    assert {"bert", "modernbert", "deberta-v2", "qwen3", "lfm2"} <= ARCHITECTURES.keys()
    assert not {"lightglue", "clip", "t5", "gpt2", "whisper"} & ARCHITECTURES.keys()
