"""The bundle in the repository is what ``make export`` gives from the checkpoint in the repository."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite.manifest import Manifest, Precision
from latelite.models import ColBERT
from latelite_export import export, texts
from latelite_export.comparison import LIMITS
from latelite_export.verify import GOLDEN_FILE

MODELS = Path(__file__).parents[2] / "models"
KEPT = MODELS / "default-onnx"
ADVICE = "run make export, then copy the files of models/build/default-onnx to models/default-onnx"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("default") / "bundle"
    export(MODELS / "latelite-colbert-16m", folder, offline=True)
    return folder


def test_the_manifest_is_the_same_but_for_versions(exported: Path) -> None:
    kept, new = Manifest.read(KEPT), Manifest.read(exported)
    assert kept.fingerprint == new.fingerprint, ADVICE
    assert _comparable(kept) == _comparable(new), ADVICE


def test_the_licence_of_the_weights_lies_beside_them(exported: Path) -> None:
    licence = (MODELS / "latelite-colbert-16m" / "LICENSE").read_bytes()
    assert (KEPT / "LICENSE").read_bytes() == (exported / "LICENSE").read_bytes() == licence


def test_tokenizer_and_fp32_graph_are_the_same_bytes(exported: Path) -> None:
    kept, new = Manifest.read(KEPT), Manifest.read(exported)
    for name in ("tokenizer.json", "model.onnx"):
        assert kept.files[name] == new.files[name], ADVICE


def test_the_verification_vectors_are_within_the_gate(exported: Path) -> None:
    kept, new = np.load(KEPT / GOLDEN_FILE), np.load(exported / GOLDEN_FILE)
    np.testing.assert_allclose(kept, new, rtol=0, atol=LIMITS.fp32_max_abs)


def test_int8_is_the_same_bytes_where_the_same_cpu_made_it_and_the_same_vectors_elsewhere(exported: Path) -> None:
    kept, new = Manifest.read(KEPT), Manifest.read(exported)
    if kept.files["model_int8.onnx"] == new.files["model_int8.onnx"]:
        return
    # The plan is found by measuring on the exporting CPU: another one may round otherwise, no more.
    cosines = np.concatenate(
        [
            np.einsum("td,td->t", _encode(KEPT, "int8", text), _encode(exported, "int8", text))
            for collection in texts.collections()
            for text in collection.queries
        ]
    )
    assert cosines.mean() > LIMITS.cosine_mean, ADVICE


def _encode(folder: Path, precision: Precision, text: str) -> Any:
    return ColBERT(folder, precision=precision).encode(text)


def _comparable(manifest: Manifest) -> dict[str, Any]:
    """Without the parts that depend on versions and on the exporting CPU."""
    content = asdict(manifest)
    for key in ("toolchain", "verification"):
        del content[key]
    content["files"] = sorted(content["files"])
    content["graphs"] = {name: (graph["file"], graph["scheme"]) for name, graph in content["graphs"].items()}
    return content
