"""The gate refuses bad bundles, and names the worst text."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from latelite.errors import BundleCorruptError
from latelite.manifest import MANIFEST_NAME, Manifest
from latelite_export import bundle as bundles
from latelite_export import export, pipeline, texts, verify
from latelite_export.comparison import Limits
from latelite_export.errors import GateError
from latelite_export.ranking import overlap

Folder = Callable[[str], Path]


@pytest.fixture
def broken(bundle: Folder, tmp_path: Path) -> Callable[[str, float], Path]:
    """A bundle with a relative error in the weights of one graph, and a matching manifest."""

    def damage(file: str, amount: float) -> Path:
        folder = Path(shutil.copytree(bundle("bert-pylate"), tmp_path / "broken"))
        model = onnx.load(folder / file)
        for tensor in model.graph.initializer:
            if tensor.name.endswith("intermediate.dense.bias"):
                value = numpy_helper.to_array(tensor)
                tensor.CopyFrom(numpy_helper.from_array(value + np.float32(amount), tensor.name))
        onnx.save(model, folder / file)
        manifest = Manifest.read(folder)
        files = {**manifest.files, file: bundles.entry(folder / file)}
        (folder / MANIFEST_NAME).write_text(dataclasses.replace(manifest, files=files).to_json())
        return folder

    return damage


def test_a_good_bundle_passes_on_any_machine(bundle: Folder) -> None:
    report = verify.check(bundle("bert-pylate"))
    assert report["fp32"]["max_abs_error"] == 0
    assert report["int8"]["cosine_mean"] >= 0.995


def test_a_good_bundle_passes_against_its_checkpoint(bundle: Folder, checkpoint: Folder) -> None:
    report = pipeline.reverify(bundle("bert-pylate"), checkpoint("bert-pylate"))
    assert report["fp32"]["max_abs_error"] <= 1e-4
    assert {"1", "512"} <= report["fp32"]["lengths"].keys()


def test_a_changed_graph_is_noticed_without_the_checkpoint(broken: Callable[[str, float], Path]) -> None:
    with pytest.raises(GateError, match="fp32 graph differs from PyTorch by"):
        verify.check(broken("model.onnx", 0.01))


def test_a_changed_graph_is_noticed_with_the_checkpoint(
    broken: Callable[[str, float], Path], checkpoint: Folder
) -> None:
    with pytest.raises(GateError, match=r"more than 1e-04; worst in .* (query|document) \d+ \("):
        pipeline.reverify(broken("model.onnx", 0.01), checkpoint("bert-pylate"))


def test_a_bad_int8_graph_is_noticed(broken: Callable[[str, float], Path]) -> None:
    with pytest.raises(GateError, match=r"int8 graph's token cosine to fp32 has .* below"):
        verify.check(broken("model_int8.onnx", 2.0))


def test_other_weights_are_noticed(bundle: Folder, checkpoint: Folder) -> None:
    with pytest.raises(GateError, match="was not made from the weights"):
        pipeline.reverify(bundle("bert-pylate"), checkpoint("bert-attend"))


def test_an_altered_file_is_noticed(bundle: Folder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle("bert-pylate"), tmp_path / "copy"))
    path = folder / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b"the", b"teh", 1))
    with pytest.raises(BundleCorruptError, match=r"tokenizer\.json"):
        verify.check(folder)


def test_a_bundle_that_misses_its_gate_is_not_written(
    checkpoint: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = verify.gate
    strict = Limits(cosine_mean=0.9999999)
    monkeypatch.setattr(verify, "gate", lambda *args, **kwargs: gate(*args, **kwargs, limits=strict))
    with pytest.raises(GateError, match=r"mean 0\.99\d\d, below 0\.9999999; worst in .*Nothing was written") as caught:
        export(checkpoint("bert-pylate"), tmp_path / "out")
    assert caught.value.report["int8"]["cosine_mean"] < 1
    assert list(tmp_path.iterdir()) == []


def test_near_ties_may_change_places_and_nothing_else() -> None:
    exact = np.arange(20, 0, -1, dtype=np.float32)[None]
    swapped = exact.copy()
    swapped[0, [9, 10]] = swapped[0, [10, 9]]
    assert overlap(exact, swapped, 0.0) == [0.9]
    assert overlap(exact, swapped, 0.05) == [0.9]
    assert overlap(exact, swapped, 0.1) == [1.0]


def test_checking_a_bundle_needs_no_pytorch(bundle: Folder) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'onnx', 'optimum'): sys.modules[name] = None\n"
        "from latelite_export.cli import main\n"
        f"sys.exit(main(['verify', {str(bundle('bert-pylate'))!r}]))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "verified" in result.stderr


def test_the_gate_has_texts_in_seven_languages_of_many_lengths() -> None:
    collections = texts.collections()
    assert [collection.language for collection in collections] == ["de", "en", "es", "fr", "it", "nl", "pt"]
    for collection in collections:
        words = [len(text.split()) for text in collection.documents]
        assert len(collection.queries) == 10
        assert len(collection.documents) == 15
        assert min(words) <= 5
        assert max(words) >= 200
        assert len(set(collection.documents)) == 15
