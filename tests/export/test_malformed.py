"""Malformed checkpoints: one sentence, exit code 1, and nothing is run, written or downloaded.

There are 500, some seventeen of each kind of damage; LATELITE_MALFORMED=2000 tries more.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from export import malformed
from latelite_export.cli import main

COUNT = int(os.environ.get("LATELITE_MALFORMED", "500"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Attempts to open a socket or to resolve a name."""
    asked: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> NoReturn:
        asked.append(arguments)
        raise OSError("no network in this test")

    for name in ("__init__", "connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


def listing(folder: Path) -> set[Path]:
    """Everything below a folder; links are not followed."""
    return {Path(root) / name for root, folders, files in os.walk(folder) for name in (*folders, *files)}


@pytest.mark.parametrize("number", range(COUNT))
def test_a_malformed_checkpoint_is_one_sentence(
    number: int,
    checkpoint: Callable[[str], Path],
    tmp_path: Path,
    no_network: list[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    marker, out = tmp_path / "this-code-ran", tmp_path / "bundles" / "out"
    damage = malformed.make(number, checkpoint, tmp_path / "checkpoint", marker)
    before = listing(tmp_path)
    code = main([str(tmp_path / "checkpoint"), "-o", str(out), "--scheme", "fp32"])
    captured = capsys.readouterr()
    sentences = [line for line in captured.err.splitlines() if line.startswith("latelite-export: ")]
    assert code == 1, damage
    assert captured.out == ""
    assert len(sentences) == 1, (damage, captured.err)
    assert "Traceback" not in captured.err, damage
    assert not marker.exists(), f"{damage}: code of the checkpoint's ran"
    assert listing(tmp_path) - {out.parent} == before, f"{damage}: something was written"
    assert not out.parent.exists() or list(out.parent.iterdir()) == [], damage
    assert no_network == [], damage
