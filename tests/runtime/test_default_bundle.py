"""The bundle in the repository: complete, correct on this machine, the default, and installable."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from latelite import default_model
from latelite.bundle import Bundle
from latelite.manifest import PRECISIONS, Manifest
from latelite.models import ColBERT
from latelite_export.verify import check

FOLDER = Path(__file__).parents[2] / "models" / "default-onnx"


def test_it_is_whole_and_gives_its_verification_vectors_on_this_machine() -> None:
    report = check(FOLDER)  # raises otherwise
    assert set(report) >= {"fp32", "int8"}


def test_its_sizes_are_those_of_a_small_computer() -> None:
    sizes = {name: entry.bytes / 1e6 for name, entry in Manifest.read(FOLDER).files.items()}
    assert sizes["model_int8.onnx"] < 18
    assert sizes["model.onnx"] < 34  # in the checkpoint's own 16 bits
    assert sum(sizes.values()) < 54


def test_a_checkout_uses_it_when_no_model_is_named() -> None:
    if default_model.installed() or default_model._repository_bundle() is None:
        pytest.skip("latelite does not run from a checkout without an installed model")
    assert ColBERT().bundle.folder == FOLDER.resolve()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux")
def test_a_process_that_has_encoded_a_question_stays_small() -> None:
    code = """
import re, sys
from latelite.models import ColBERT
ColBERT(sys.argv[1], precision="int8", threads=1).encode("How do I delete a directory tree?")
print(re.search(r"VmRSS:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""
    done = subprocess.run([sys.executable, "-c", code, FOLDER], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 130_000  # kB; 100,000 on an x86 without VNNI


@pytest.mark.parametrize("precision", PRECISIONS)
def test_its_folder_builds_as_a_wheel_without_network(precision: str, tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-deps", "-w", tmp_path]
    subprocess.run([*command, "-C", f"precision={precision}", FOLDER], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (folder,) = (path.parent for path in (tmp_path / "site").glob("*/manifest.json"))
    installed = Bundle(folder)
    installed.verify()
    assert set(installed.manifest.graphs) == {precision}
    assert installed.manifest.fingerprint == Manifest.read(FOLDER).fingerprint
