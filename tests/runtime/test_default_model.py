"""The default bundle."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from latelite import Collection, cli, default_model
from latelite.bundle import Bundle
from latelite.errors import BundleError, BundleNotFoundError
from latelite.manifest import MANIFEST_NAME, MODEL_GROUP, Manifest
from latelite.models import ColBERT

Install = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty site-packages folder as the only place for models, without the repository's bundle."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(default_model, "_REPOSITORY", tmp_path / "no repository")

    def of_this_folder(*, group: str) -> list[importlib.metadata.EntryPoint]:  # a model may be installed beside pytest
        found = importlib.metadata.distributions(path=[str(folder)])
        return [point for distribution in found for point in distribution.entry_points if point.group == group]

    monkeypatch.setattr(importlib.metadata, "entry_points", of_this_folder)
    return folder


@pytest.fixture
def install(site: Path, bundle: Callable[[str], Path]) -> Install:
    """Installs a copy of a case's bundle, or one graph of it, as a wheel would."""

    def put(name: str, package: str, *, case: str = "bert-pylate", precision: str | None = None) -> Path:
        folder = Path(shutil.copytree(bundle(case), site / package))
        if precision:
            _keep_one(folder, precision)
        (site / f"{package}-1.0.dist-info").mkdir()
        (site / f"{package}-1.0.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\n")
        entry = f"[{MODEL_GROUP}]\n{name} = {package}\n"
        (site / f"{package}-1.0.dist-info" / "entry_points.txt").write_text(entry)
        importlib.invalidate_caches()
        return folder

    return put


def _keep_one(folder: Path, precision: str) -> None:
    manifest = Manifest.read(folder)
    gone = {graph.file for name, graph in manifest.graphs.items() if name != precision}
    for file in gone:
        (folder / file).unlink()
    reduced = dataclasses.replace(
        manifest,
        graphs={precision: manifest.graphs[precision]},
        files={name: entry for name, entry in manifest.files.items() if name not in gone},
    )
    (folder / MANIFEST_NAME).write_text(reduced.to_json(), encoding="utf-8")


def test_without_a_model_one_sentence_says_what_to_do(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BundleNotFoundError, match=r"no model is installed; name a bundle folder .*pip install"):
        Collection(tmp_path / "notes.lt")
    assert not (tmp_path / "notes.lt").exists()
    assert cli.main(["index", str(tmp_path / "notes.lt"), str(tmp_path)]) == cli.FAILED
    assert cli.main(["encode", "text"]) == cli.FAILED
    assert capsys.readouterr().err.count("no model is installed") == 2


def test_the_installed_model_is_the_default(install: Install, tmp_path: Path) -> None:
    folder = install("tiny", "tiny_model")
    assert default_model.locate() == folder
    assert ColBERT().bundle.folder == folder
    with Collection(tmp_path / "notes.lt") as notes:
        notes.add(["a"], ["text"])
    with Collection(tmp_path / "notes.lt", "tiny") as notes:
        assert [hit.id for hit in notes.search("text")] == ["a"]


def test_commands_take_it(install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install("tiny", "tiny_model")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a note")
    collection = str(tmp_path / "notes.lt")
    assert cli.main(["index", collection, str(tmp_path / "notes")]) == cli.OK
    assert cli.main(["search", collection, "note"]) == cli.OK
    assert cli.main(["encode", "a note"]) == cli.OK
    assert cli.main(["rerank", "note", "a note", "a boat"]) == cli.OK


def test_a_folder_wins_over_an_installed_name(
    install: Install, bundle: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("tiny", "tiny_model")
    shutil.copytree(bundle("bert-pylate"), tmp_path / "here" / "tiny")
    monkeypatch.chdir(tmp_path / "here")
    assert ColBERT("tiny").bundle.folder == Path("tiny")


def test_a_graph_in_a_wheel_of_its_own_is_found(install: Install) -> None:
    int8 = install("tiny", "tiny_model", precision="int8")
    fp32 = install("tiny", "tiny_model_fp32", precision="fp32")
    assert default_model.locate(precision="int8") == int8
    assert default_model.locate(precision="fp32") == fp32
    assert ColBERT("tiny", precision="fp32").precision == "fp32"
    assert default_model.locate("tiny") in (int8, fp32)
    assert Bundle(int8).manifest.fingerprint == Bundle(fp32).manifest.fingerprint


def test_a_graph_that_is_not_installed_is_named(install: Install) -> None:
    install("tiny", "tiny_model", precision="int8")
    with pytest.raises(BundleError, match="tiny is installed in int8 only, not in fp32"):
        ColBERT(precision="fp32")
    assert ColBERT().precision == "int8"


def test_of_several_models_one_must_be_named(install: Install) -> None:
    install("tiny", "tiny_model")
    other = install("other", "other_model", case="bert-expansion")
    with pytest.raises(BundleError, match="several models are installed; choose one: other, tiny"):
        default_model.locate()
    assert default_model.resolve("other") == other
    with pytest.raises(BundleNotFoundError, match=r"nothing is neither a folder .* \(installed models: other, tiny\)"):
        default_model.locate("nothing")


def test_half_an_installation_is_reported(install: Install) -> None:
    shutil.rmtree(install("tiny", "tiny_model"))
    importlib.invalidate_caches()
    with pytest.raises(BundleNotFoundError, match="tiny has no package tiny_model; install its wheel again"):
        default_model.locate()


def test_a_checkout_has_its_own(site: Path, bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    repository = site.parent / "repository"
    monkeypatch.setattr(default_model, "_REPOSITORY", repository)
    shutil.copytree(bundle("bert-pylate"), repository / "models" / "default-onnx")
    with pytest.raises(BundleNotFoundError):  # a folder of that name somewhere above site-packages is not ours
        default_model.locate()
    (repository / "pyproject.toml").touch()
    assert default_model.locate() == repository / "models" / "default-onnx"
