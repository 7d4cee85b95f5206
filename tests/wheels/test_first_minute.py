"""In a fresh clone, two commands work without a compiler, PyTorch and hnswlib.

Downloads some 50 MB, so it runs only with everything else (``make test-all``).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from latelite import demo

REPOSITORY = Path(__file__).parents[2]
TOOLS = ("sh", "make", "sed", "expand", "rm", "touch", "env", "uname", "dirname")

pytestmark = [
    pytest.mark.skipif(os.environ.get("LATELITE_TEST_ALL") != "1", reason="downloads the dependencies; make test-all"),
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the working tree that git tracks, without build output."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (REPOSITORY / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with few commands and no compiler, in which pip finds neither PyTorch nor hnswlib."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (folder / "bin" / tool).symlink_to(found)
    blocked = folder / "blocked.txt"
    blocked.write_text("torch==0\nhnswlib==0\ntransformers==0\nonnx==0\n")
    constraints = " ".join(filter(None, [os.environ.get("PIP_CONSTRAINT"), str(blocked)]))
    kept = {name: value for name, value in os.environ.items() if name not in ("LATELITE_TEST_ALL", "PYTHONPATH")}
    return kept | {"PATH": str(folder / "bin"), "PIP_CONSTRAINT": constraints, "PIP_LOG": str(folder / "pip.log")}


def _make(clone: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    make = shutil.which("make")
    assert make
    command = [make, *arguments]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=900, check=False)


def _downloaded(log: Path) -> float:
    """Megabytes of packages that pip downloaded or took from its cache or a local index."""
    text, units = log.read_text(), {"bytes": 1e-6, "kB": 1e-3, "MB": 1.0}
    fetched = re.findall(r"(?:Downloading|Using cached) \S+ \(([\d.]+) (bytes|kB|MB)\)", text)
    local = re.findall(r"Processing (\S+\.whl)", text)
    return sum(float(size) * units[unit] for size, unit in fetched) + sum(Path(p).stat().st_size / 1e6 for p in local)


def test_there_is_no_compiler(bare: dict[str, str]) -> None:
    for name in ("cc", "gcc", "g++", "c++", "clang"):
        assert shutil.which(name, path=bare["PATH"]) is None


def test_make_demo_answers_in_seven_languages(clone: Path, bare: dict[str, str]) -> None:
    done = _make(clone, bare, "demo", f"PYTHON={Path(sys.base_prefix) / 'bin/python3'}")
    assert done.returncode == 0, done.stderr
    for language, question in demo.QUESTIONS:
        assert f"[{language}] {question}" in done.stdout
    assert "shutil.rmtree" in done.stdout
    installed = {path.name.split("-")[0].lower() for path in (clone / ".venv/lib").rglob("*.dist-info")}
    assert {"latelite", "numpy", "onnxruntime", "tokenizers"} <= installed
    assert not installed & {"torch", "transformers", "onnx", "hnswlib", "scipy"}
    assert 10 < _downloaded(Path(bare["PIP_LOG"])) < 150


def test_make_test_passes_on_the_same_footing(clone: Path, bare: dict[str, str]) -> None:
    """Part of it; all of it is what the environment of the tests themselves would run again."""
    done = _make(clone, bare, "test", "TESTS=tests/runtime/test_models.py tests/runtime/test_default_bundle.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out: tests/export, without torch" in done.stdout
