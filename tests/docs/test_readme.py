"""The README's code runs as printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from latelite import cli, demo

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
PYTHON = [block for language, block in BLOCKS if language == "python"]
SHELL = [line for language, block in BLOCKS if not language for line in block.splitlines()]


@pytest.fixture
def project(bundle: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder with a bundle where the README has it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "default-onnx").symlink_to(bundle("bert-pylate"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python(project: Path, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_command_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "documents", lambda: {"shutil.rmtree": ("function", "Delete a directory tree.")})
    (project / "FOLDER").mkdir()
    (project / "FOLDER" / "note.txt").write_text("a note")
    lines = [line.split("  #")[0] for line in SHELL if line.startswith("latelite ")]
    assert len(lines) >= 4
    for line in lines:
        if line.startswith(("latelite serve ", "latelite mcp ")):
            continue  # they run until they are stopped; tests/web and tests/runtime/test_mcp.py start them
        if "--to web" in line:
            continue  # takes npm packages; tests/web_library runs it
        assert cli.main(shlex.split(line)[1:]) == 0, line


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^make ([a-z]+)", "\n".join(SHELL), re.MULTILINE)) | set(
        re.findall(r"`make ([a-z]+)", README)
    )
    assert named
    assert named <= targets
