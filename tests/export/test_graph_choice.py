"""The form of a bundle's graph, fused or traced, and its record in the manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from latelite.manifest import Manifest
from latelite_export import export, pipeline, verify
from latelite_export.graph import encoders

Folder = Callable[[str], Path]


def kinds(file: Path) -> set[str]:
    return {node.op_type for node in onnx.load(file).graph.node}


def test_bert_is_exported_fused(bundle: Folder) -> None:
    folder = bundle("bert-pylate")
    manifest = Manifest.read(folder)
    for graph in manifest.graphs.values():
        assert graph.details["graph"] == "fused"
        found = kinds(folder / graph.file)
        assert "MultiHeadAttention" in found
        assert not {"Where", "IsNaN", "Softmax"} & found
        inputs = [entry.name for entry in onnx.load(folder / graph.file).graph.input]
        assert tuple(inputs) == manifest.inputs


def test_an_unknown_backbone_is_exported_as_traced(
    checkpoint: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(encoders._ENCODERS, "bert")
    said: list[str] = []
    folder = tmp_path / "plain"
    manifest = export(checkpoint("bert-pylate"), folder, on_stage=said.append)
    assert "BertModel has no fused form; tracing its graph" in said
    assert manifest.inputs == ("input_ids", "attention_mask", "token_type_ids")
    for graph in manifest.graphs.values():
        assert graph.details["graph"] == "as traced"
        assert "MultiHeadAttention" not in kinds(folder / graph.file)
    assert "DynamicQuantizeMatMul" in kinds(folder / manifest.graphs["int8"].file)
    # Both gates go on working with either form.
    verify.check(folder)
    report = pipeline.reverify(folder, checkpoint("bert-pylate"))
    assert any(key.endswith("half of each unattended") for key in report["fp32"]["lengths"])


def test_masks_are_compared_only_where_the_graph_takes_one(bundle: Folder, checkpoint: Folder) -> None:
    for name, masked in (("bert-pylate", False), ("bert-expansion", True)):
        manifest = Manifest.read(bundle(name))
        assert ("attention_mask" in manifest.inputs) == masked
        assert any("unattended" in key for key in manifest.verification["fp32"]["lengths"]) == masked
