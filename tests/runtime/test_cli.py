"""The command line: text for people, JSON and exit statuses for scripts."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite import cli


@pytest.fixture
def model_folder(bundle: Callable[[str], Path]) -> str:
    return str(bundle("bert-pylate"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "notes"
    source.mkdir()
    (source / "bread.md").write_text("Bread needs rye flour.\n\nAnd it needs time.")
    (source / "train.txt").write_text("The train to the north leaves at seven.")
    return source


Run = Callable[..., tuple[int, str, str]]


def indexed(run: Run, collection: Path, source: Path, model_folder: str, *more: object) -> dict[str, Any]:
    status, out, err = run("index", collection, source, "--model", model_folder, "--json", *more)
    assert (status, err) == (0, "")
    report: dict[str, Any] = json.loads(out)
    return report


def test_index_then_search(run: Run, tmp_path: Path, folder: Path, model_folder: str) -> None:
    report = indexed(run, tmp_path / "n.lt", folder, model_folder)
    assert (report["files"], report["added"], report["documents"]) == (2, 2, 2)
    status, out, _ = run("search", tmp_path / "n.lt", "the train to the north", "-k", 1, "--json")
    (hit,) = json.loads(out)["hits"]
    assert status == 0
    assert hit["id"].endswith("train.txt#1")
    assert hit["metadata"]["line"] == 1
    status, out, _ = run("search", tmp_path / "n.lt", "the train to the north", "-k", 1)
    assert status == 0
    assert "train.txt#1" in out
    assert "leaves at seven" in out


def test_a_second_run_does_only_what_changed(run: Run, tmp_path: Path, folder: Path, model_folder: str) -> None:
    indexed(run, tmp_path / "n.lt", folder, model_folder, "--passage-length", 25)
    report = indexed(run, tmp_path / "n.lt", folder, model_folder, "--passage-length", 25)
    assert (report["added"], report["unchanged"], report["removed"]) == (0, 4, 0)
    (folder / "bread.md").write_text("Bread needs rye flour.")
    report = indexed(run, tmp_path / "n.lt", folder, model_folder, "--passage-length", 25)
    assert (report["added"], report["unchanged"], report["removed"], report["documents"]) == (0, 3, 1, 3)


def test_search_finds_nothing(run: Run, tmp_path: Path, folder: Path, model_folder: str) -> None:
    indexed(run, tmp_path / "n.lt", folder, model_folder)
    status, out, _ = run("search", tmp_path / "n.lt", "x", "--where", "path=nowhere", "--json")
    assert status == cli.NOTHING_FOUND
    assert json.loads(out)["hits"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "nowhere.lt", "x"], "holds no collection"),
        (["info", "nowhere"], "neither a bundle"),
        (["encode", "x", "--model", "nowhere"], "not a bundle"),
        (["index", "n.lt", "nowhere.txt", "--model", "MODEL"], "nowhere.txt"),
    ],
)
def test_failures_are_one_line_and_status_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model_folder: str, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*(model_folder if a == "MODEL" else a for a in arguments))
    assert (status, out) == (cli.FAILED, "")
    assert err.startswith("latelite: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["search", "x"], ["search", "x", "y", "-k", "0"], ["search", "x", "y", "--where", "z"]]
)
def test_wrong_usage_is_status_2(run: Run, arguments: list[str]) -> None:
    status, _, err = run(*arguments)
    assert status == cli.USAGE
    assert "usage:" in err


def test_encode(run: Run, tmp_path: Path, model_folder: str) -> None:
    status, out, _ = run("encode", "one", "two words", "--model", model_folder, "-o", tmp_path / "v.npz", "--json")
    assert status == 0
    with np.load(tmp_path / "v.npz", allow_pickle=False) as file:
        vectors, offsets = file["vectors"], file["offsets"]
    assert np.diff(offsets).tolist() == json.loads(out)["tokens"]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    status, out, _ = run("encode", "--query", "one", "--model", model_folder, "--json")
    assert status == 0
    assert len(json.loads(out)["vectors"][0][0]) == 16


def test_rerank_reads_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch, model_folder: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("bread with rye\nthe train leaves\n\n"))
    status, out, _ = run("rerank", "the train leaves", "--model", model_folder, "--json")
    results = json.loads(out)["results"]
    assert status == 0
    assert [r["line"] for r in results] == [2, 1]


def test_info_prints_where_every_setting_came_from(run: Run, model_folder: str) -> None:
    status, out, _ = run("info", model_folder, "--json")
    report = json.loads(out)
    assert status == 0
    assert report["kind"] == "bundle"
    assert report["settings"]["document_length"] == {"value": 180, "source": "config_sentence_transformers.json"}
    status, out, _ = run("info", model_folder)
    assert status == 0
    assert "document_length" in out
    assert "config_sentence_transformers.json" in out


def test_info_of_a_collection(run: Run, tmp_path: Path, folder: Path, model_folder: str) -> None:
    indexed(run, tmp_path / "n.lt", folder, model_folder)
    status, out, _ = run("info", tmp_path / "n.lt", "--json")
    assert status == 0
    assert json.loads(out)["documents"] == 2


def test_doctor(run: Run) -> None:
    status, out, _ = run("doctor", "--json")
    assert status == 0
    assert json.loads(out)["facts"]["numpy"] == np.__version__
