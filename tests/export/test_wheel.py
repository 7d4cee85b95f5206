"""Bundles as wheels: what is in them, and that pip installs a model that latelite finds by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from latelite.bundle import Bundle
from latelite.errors import BundleCorruptError, BundleError
from latelite.manifest import Manifest
from latelite.models import ColBERT
from latelite_export import cli, wheel

TEXT = "a note about bread"
CODE = """
import sys
import numpy as np
from latelite.models import ColBERT
model = ColBERT(precision=sys.argv[1] or None)
np.save(sys.argv[2], model.encode(sys.argv[3], is_query=True))
print(model.bundle.folder, model.precision)
"""


@pytest.fixture(scope="module")
def wheels(bundle: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return wheel.write_all(bundle("bert-pylate"), tmp_path_factory.mktemp("wheels"))


def _install(site: Path, *wheels: Path) -> None:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        "--target",
        site,
    ]
    subprocess.run([*command, *wheels], check=True, timeout=120)


def _encode(site: Path, precision: str, tmp_path: Path) -> tuple[str, np.ndarray]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    run = subprocess.run(
        [sys.executable, "-c", CODE, precision, tmp_path / "v.npy", TEXT],
        env=environment, capture_output=True, text=True, check=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    return run.stdout.strip(), np.load(tmp_path / "v.npy")


def test_each_graph_has_a_wheel_that_is_a_whole_bundle(
    wheels: list[Path], bundle: Callable[[str], Path], tmp_path: Path
) -> None:
    source = Bundle(bundle("bert-pylate"))
    assert len(wheels) == 2
    for path, precision in zip(wheels, ("fp32", "int8"), strict=True):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            archive.extractall(tmp_path / precision)
        (package,) = (p for p in (tmp_path / precision).iterdir() if not p.name.endswith(".dist-info"))
        opened = Bundle(package)
        opened.verify()
        assert set(opened.manifest.graphs) == {precision}
        assert opened.manifest.fingerprint == source.manifest.fingerprint
        assert len(list(package.glob("*.onnx"))) == 1


def test_the_licence_goes_from_the_checkpoint_into_bundle_and_wheel(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    source = tmp_path / "checkpoint"
    shutil.copytree(checkpoint("bert-pylate"), source)
    (source / "LICENSE").write_text("Do what you like.\n")
    (source / "NOTICE.txt").write_text("Made by somebody.\n")
    (source / "licensed_words.txt").write_text("no licence\n")
    assert cli.main([str(source), "-o", str(tmp_path / "bundle"), "--wheel"]) == 0
    assert (tmp_path / "bundle/LICENSE").read_text() == "Do what you like.\n"
    for path in tmp_path.glob("*.whl"):
        with zipfile.ZipFile(path) as archive:
            kept = {name.partition(".dist-info/")[2]: name for name in archive.namelist()}
            assert archive.read(kept["licenses/LICENSE"]) == b"Do what you like.\n"
            assert archive.read(kept["licenses/NOTICE.txt"]) == b"Made by somebody.\n"
            assert archive.read(kept["METADATA"]).decode().count("License-File: ") == 2
            assert not any("licensed_words" in name for name in archive.namelist())


def test_an_installed_model_gives_the_same_bytes(
    wheels: list[Path], bundle: Callable[[str], Path], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    _install(site, *wheels)
    for precision in ("fp32", "int8"):
        said, vectors = _encode(site, precision, tmp_path)
        assert said.startswith(str(site))
        assert said.endswith(precision)
        expected = ColBERT(bundle("bert-pylate"), precision=precision).encode(TEXT, is_query=True)
        assert vectors.tobytes() == expected.tobytes()


def test_one_graph_is_enough(wheels: list[Path], tmp_path: Path) -> None:
    _install(tmp_path / "site", wheels[0])
    said, _ = _encode(tmp_path / "site", "", tmp_path)
    assert said.endswith("fp32")


def test_the_same_bundle_gives_the_same_bytes(
    wheels: list[Path], bundle: Callable[[str], Path], tmp_path: Path
) -> None:
    again = wheel.write_all(bundle("bert-pylate"), tmp_path)
    assert [p.name for p in again] == [p.name for p in wheels]
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in wheels]


@pytest.mark.parametrize(
    ("id_", "name", "int8"),
    [
        ("latelite-colbert-16m", "latelite-colbert-16m", "latelite-colbert-16m"),
        ("VAGOsolutions/SauerkrautLM-Multi_ColBERT.15m", "sauerkrautlm-multi-colbert-15m", None),
        ("numpy", "numpy", "latelite-model-numpy"),
        ("/tmp/_", "model", "latelite-model-model"),
    ],
)
def test_names(bundle: Callable[[str], Path], id_: str, name: str, int8: str | None) -> None:
    manifest = replace(Manifest.read(bundle("bert-pylate")), checkpoint={"id": id_})
    assert wheel.model_name(manifest) == name
    assert wheel.distribution(manifest, "int8") == (int8 or f"latelite-model-{name}")
    assert wheel.distribution(manifest, "fp32") == (int8 or f"latelite-model-{name}") + "-fp32"


def test_a_damaged_bundle_makes_no_wheel(bundle: Callable[[str], Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle("bert-pylate"), tmp_path / "copy"))
    with (copy / "tokenizer.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleCorruptError, match=r"tokenizer\.json"):
        wheel.write(copy, tmp_path / "dist", "int8")
    assert not (tmp_path / "dist").exists()


def test_a_graph_that_is_not_there_makes_no_wheel(fp32_bundle: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no int8 graph"):
        wheel.write(fp32_bundle("bert-pylate"), tmp_path, "int8")
    assert [path.name.split("-")[0][-5:] for path in wheel.write_all(fp32_bundle("bert-pylate"), tmp_path)] == ["_fp32"]


def test_the_command_makes_them_of_a_bundle(
    bundle: Callable[[str], Path], wheels: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([str(bundle("bert-pylate")), "--wheel", "-o", str(tmp_path / "dist")]) == 0
    assert sorted(p.name for p in (tmp_path / "dist").iterdir()) == sorted(p.name for p in wheels)
    assert capsys.readouterr().err.count(".whl: ") == 2


def test_the_command_makes_them_beside_a_new_bundle(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    assert cli.main([str(checkpoint("bert-pylate")), "-o", str(tmp_path / "bundle"), "--wheel"]) == 0
    assert len(list(tmp_path.glob("*.whl"))) == 2


def test_an_output_is_asked_for(checkpoint: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([str(checkpoint("bert-pylate"))])
    assert "--output BUNDLE" in capsys.readouterr().err
