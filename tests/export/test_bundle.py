"""Bundles are written atomically, and the same checkpoint gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from latelite.bundle import Bundle
from latelite.manifest import MANIFEST_NAME, Manifest
from latelite_export import bundle as bundles
from latelite_export import export, pipeline
from latelite_export.errors import OutputExistsError


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_two_exports_are_byte_identical(
    checkpoint: Callable[[str], Path], bundle: Callable[[str], Path], tmp_path: Path
) -> None:
    first = bundle("bert-pylate")
    export(checkpoint("bert-pylate"), tmp_path / "again")
    assert contents(first) == contents(tmp_path / "again")


def test_the_files_are_those_of_the_manifest(bundle: Callable[[str], Path]) -> None:
    folder = bundle("bert-pylate")
    names = {path.name for path in folder.iterdir()}
    assert names == {"model.onnx", "model_int8.onnx", "tokenizer.json", "verification.npy", MANIFEST_NAME}
    Bundle(folder).verify()


def test_the_manifest_names_no_place_on_the_exporting_machine(
    checkpoint: Callable[[str], Path], bundle: Callable[[str], Path]
) -> None:
    place = str(checkpoint("bert-pylate").parent).encode()
    assert not any(place in content for content in contents(bundle("bert-pylate")).values())


def test_the_manifest_says_what_was_resolved(bundle: Callable[[str], Path]) -> None:
    manifest = Manifest.read(bundle("bert-pylate"))
    assert manifest.checkpoint["id"] == "bert-pylate"
    assert manifest.checkpoint["layout"] == "pylate"
    assert manifest.checkpoint["architecture"] == "BertModel"
    assert manifest.opset >= 17
    assert manifest.verification["fp32"]["max_abs_error"] <= 1e-4
    assert manifest.verification["int8"]["cosine_mean"] >= 0.995
    assert set(manifest.verification["int8"]["languages"]) == {"de", "en", "es", "fr", "it", "nl", "pt"}
    assert {"torch", "onnx", "onnxruntime"} <= manifest.toolchain.keys()


def test_another_checkpoint_is_another_vector_space_and_another_scheme_is_not(
    checkpoint: Callable[[str], Path], bundle: Callable[[str], Path], fp32_bundle: Callable[[str], Path]
) -> None:
    ours = Manifest.read(bundle("bert-pylate")).fingerprint
    assert Manifest.read(fp32_bundle("bert-pylate")).fingerprint == ours
    assert Manifest.read(fp32_bundle("bert-attend")).fingerprint != ours


def test_a_checkpoint_without_a_pooler_is_the_same_vector_space_every_time(
    copy: Callable[[str], Path], tmp_path: Path
) -> None:
    """The unused pooler is missing, so transformers initialises it randomly."""
    folder = copy("bert-pylate")
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("pooler.")}
    save_file(kept, folder / "model.safetensors")
    assert len(kept) < len(weights)
    first, second = (export(folder, tmp_path / name, scheme="fp32") for name in ("first", "second"))
    assert first.fingerprint == second.fingerprint
    pipeline.reverify(tmp_path / "first", folder)


def test_an_existing_bundle_is_replaced_only_when_asked(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(checkpoint("bert-pylate"), out, scheme="fp32")
    with pytest.raises(OutputExistsError, match="--override"):
        export(checkpoint("bert-attend"), out, scheme="fp32")
    assert Manifest.read(out).checkpoint["id"] == "bert-pylate"
    export(checkpoint("bert-attend"), out, scheme="fp32", override=True)
    assert Manifest.read(out).checkpoint["id"] == "bert-attend"
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExistsError, match="not a bundle"):
        bundles.check_output(tmp_path, override=True)


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("years of work")
    with pytest.raises(OutputExistsError, match="not a bundle"):
        bundles.check_output(out, override=True)


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with bundles.staging(tmp_path / "out", override=False) as folder:
        (folder / "file").write_text("content")
    assert (tmp_path / "out" / "file").read_text() == "content"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_the_old_bundle_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / MANIFEST_NAME).write_text("old")

    def fail() -> None:
        with bundles.staging(out, override=True) as folder:
            (folder / "half").write_text("written")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert contents(out) == {MANIFEST_NAME: b"old"}
    assert list(tmp_path.iterdir()) == [out]


def test_a_failure_of_the_change_itself_puts_the_old_bundle_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / MANIFEST_NAME).write_text("old")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise OSError("disk full")
        return rename(self, target)

    def fail() -> None:
        with bundles.staging(out, override=True):
            monkeypatch.setattr(Path, "rename", failing)

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert contents(out) == {MANIFEST_NAME: b"old"}
    assert list(tmp_path.iterdir()) == [out]
