"""Peers run in their own interpreters; a missing peer is reported, never estimated."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import peers
import pytest


@pytest.fixture
def arguments(bundle: Callable[[str], Path], retrieval_set: Path) -> list[str]:
    return ["--bundle", str(bundle("bert-pylate")), "--corpus", str(retrieval_set)]


def run(arguments: list[str], target: Path) -> dict:  # type: ignore[type-arg]
    assert peers.main([*arguments, "--json", str(target)]) == 0
    return json.loads(target.read_text())  # type: ignore[no-any-return]


def test_latelite_is_measured_like_a_peer(arguments: list[str], tmp_path: Path) -> None:
    only = ["--only", "latelite fp32", "latelite int8", "latelite Exact"]
    figures = run([*arguments, *only], tmp_path / "peers.json")
    assert figures["not_run"] == {}
    assert figures["encoders"]["latelite fp32"]["cosine_min"] == pytest.approx(1, abs=1e-5)
    assert 0.9 < figures["encoders"]["latelite int8"]["cosine_mean"] < 0.99999
    exact = figures["searchers"]["latelite Exact"]
    assert exact["search"]["calls"] == 2
    assert exact["recall@10"] == 1
    assert exact["index_bytes"] > 0


def test_absent_peers_are_not_run(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "ENVIRONMENTS", tmp_path / "none")
    figures = run([*arguments, "--only", "voyager", "pylate"], tmp_path / "peers.json")
    assert figures["searchers"] == figures["encoders"] == {}
    assert "make peers PEERS=voyager" in figures["not_run"]["voyager"]
    assert "pylate" in figures["not_run"]
    assert "make peers" in capsys.readouterr().out


def test_a_failing_peer_is_not_run_and_says_why(arguments: list[str], tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ImportError: no such peer' >&2\nexit 1\n")
    python.chmod(0o755)
    figures = run([*arguments, "--only", "voyager", "--peer", f"voyager={python}"], tmp_path / "peers.json")
    assert figures["not_run"] == {"voyager": "failed: ImportError: no such peer"}
    gone = f"voyager={tmp_path / 'nowhere'}"
    figures = run([*arguments, "--only", "voyager", "--peer", gone], tmp_path / "peers.json")
    assert "cannot be started" in figures["not_run"]["voyager"]


def test_encoder_peers_need_the_checkpoint(arguments: list[str], tmp_path: Path) -> None:
    given = [word for name in ("pylate", "openvino") for word in ("--peer", f"{name}={sys.executable}")]
    figures = run([*arguments, *given, "--only", "pylate", "openvino"], tmp_path / "peers.json")
    assert all("--checkpoint" in reason for reason in figures["not_run"].values())
    assert set(figures["not_run"]) == {"pylate", "openvino"}


def test_an_unknown_peer_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        peers.main([*arguments, "--peer", f"faiss={sys.executable}"])
