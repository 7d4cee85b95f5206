"""The command line: text for people, JSON and exit statuses for scripts."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Run
from latelite import cli, doctor


@pytest.fixture
def model_folder(bundle: Callable[[str], Path]) -> str:
    return str(bundle("bert-pylate"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "notes"
    source.mkdir()
    (source / "bread.md").write_text("Bread needs rye flour.\n\nAnd it needs time.")
    (source / "train.txt").write_text("The train to the north leaves at seven.")
    return source


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
        (["search", "nowhere.lt", "x"], "is not a collection"),
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


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("too deep"), TypeError("x\ny"), RuntimeError("ONNX")])
def test_what_nobody_foresaw_is_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(doctor, "facts", fail)
    status, out, err = run("doctor")
    assert (status, out) == (cli.FAILED, "")
    said = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    assert err.startswith(f"latelite: {said} (in test_cli.py, line ")
    assert err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are closed differently there")
def test_a_reader_that_has_read_enough_is_no_failure(tmp_path: Path, folder: Path, run: Run, model_folder: str) -> None:
    """As in ``latelite list notes.lt | head -1``."""
    indexed(run, tmp_path / "n.lt", folder, model_folder)
    command = [sys.executable, "-m", "latelite.cli", "list", str(tmp_path / "n.lt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == cli.PIPE_CLOSED


def test_output_that_the_terminal_cannot_show_is_escaped(
    tmp_path: Path, folder: Path, run: Run, model_folder: str
) -> None:
    """File names that are not UTF-8, and terminals that are not."""
    (folder / "bread.md").rename(folder / "caf\udce9 ’.md")
    indexed(run, tmp_path / "n.lt", folder, model_folder)
    command = [sys.executable, "-m", "latelite.cli", "search", str(tmp_path / "n.lt"), "rye bread", "-k", "1"]
    for encoding, shown in (("ascii", "caf\\udce9 \\u2019.md"), ("utf-8", "caf\\udce9 ’.md")):
        environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        assert shown in done.stdout.decode(encoding)


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


def test_info_reads_neither_the_model_nor_the_vectors(
    run: Run, tmp_path: Path, folder: Path, model_folder: str
) -> None:
    """Sizes are printed at once, regardless of the graph's size, and also for a standalone index."""
    indexed(run, tmp_path / "n.lt", folder, model_folder)
    _, before, _ = run("info", tmp_path / "n.lt", "--json")
    for path in [*(tmp_path / "n.lt" / "model").glob("*.onnx"), *(tmp_path / "n.lt").rglob("*.safetensors")]:
        path.write_bytes(bytes(path.stat().st_size))
    assert run("info", tmp_path / "n.lt", "--json") == (0, before, "")
    (tmp_path / "n.lt" / "collection.json").unlink()
    status, out, _ = run("info", tmp_path / "n.lt", "--json")
    assert (status, json.loads(out)["kind"], json.loads(out)["documents"]) == (0, "index", 2)


def test_doctor(run: Run) -> None:
    status, out, _ = run("doctor", "--json")
    assert status == 0
    assert json.loads(out)["facts"]["numpy"] == np.__version__


def test_reading_listing_and_removing(run: Run, tmp_path: Path, folder: Path, model_folder: str) -> None:
    lines = [{"id": 7, "text": "Rye bread.", "year": 1999, "done": True}, {"id": "b", "text": "A train.", "year": 2001}]
    (folder / "docs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    indexed(run, tmp_path / "n.lt", folder / "docs.jsonl", model_folder)
    listed = json.loads(run("list", tmp_path / "n.lt", "--json")[1])["documents"]
    assert [each["text"] for each in listed] == ["Rye bread.", "A train."]
    assert json.loads(run("list", tmp_path / "n.lt", "--where", "year>=2000", "--json")[1])["count"] == 1
    assert run("list", tmp_path / "n.lt", "--where", "year=3000")[0] == cli.NOTHING_FOUND
    (found,) = json.loads(run("get", tmp_path / "n.lt", listed[0]["id"], "--json")[1])["documents"]
    assert (found["text"], found["metadata"]["year"]) == ("Rye bread.", 1999)
    (hit,) = json.loads(run("search", tmp_path / "n.lt", "bread", "--where", "done=true", "--explain", "--json")[1])[
        "hits"
    ]
    assert hit["text"] == "Rye bread."
    assert {"semantic", "lexical", "matches"} <= set(hit)
    assert run("search", tmp_path / "n.lt", "x", "--where", "year=1999", "-k", "5")[0] == cli.OK
    status, _, err = run("remove", tmp_path / "n.lt", "nobody")
    assert (status, "nobody" in err) == (cli.FAILED, True)
    assert json.loads(run("remove", tmp_path / "n.lt", "--where", "year=2001", "--json")[1])["removed"] == 1
    assert json.loads(run("remove", tmp_path / "n.lt", listed[0]["id"], "--json")[1])["documents"] == 0
    assert run("remove", tmp_path / "n.lt")[0] == cli.USAGE


def test_reindexing(run: Run, tmp_path: Path, folder: Path, model_folder: str, bundle: Callable[[str], Path]) -> None:
    collection = tmp_path / "n.lt"
    indexed(run, collection, folder, model_folder)
    status, out, err = run("reindex", collection, "--index", "Exact", "--pool-factor", 2, "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert (report["documents"], report["index"], report["pool_factor"]) == (2, "Exact", 2)
    other = bundle("bert-expansion")
    status, out, _ = run("reindex", collection, "--model", other)
    assert status == 0
    assert "2 documents" in out
    status, out, _ = run("search", collection, "train north", "--mode", "lexical", "-k", 1, "--json")
    assert json.loads(out)["hits"][0]["id"].endswith("train.txt#1")
    # The record of the files came along: nothing is new.
    assert json.loads(run("index", collection, "--json")[1])["added"] == 0
    status, out, err = run("reindex", collection, "--index", "Fast")
    assert (status, out) == (1, "")
    assert "Exact" in err
    assert err.count("\n") == 1


def test_verifying_compacting_and_copying(run: Run, tmp_path: Path, folder: Path, model_folder: str) -> None:
    indexed(run, tmp_path / "n.lt", folder, model_folder)
    assert run("verify", tmp_path / "n.lt")[0] == cli.OK
    assert run("compact", tmp_path / "n.lt")[0] == cli.OK
    assert run("backup", tmp_path / "n.lt", tmp_path / "copy.lt")[0] == cli.OK
    assert json.loads(run("verify", tmp_path / "copy.lt", "--json")[1])["documents"] == 2
    assert run("backup", tmp_path / "n.lt", tmp_path / "copy.lt")[0] == cli.FAILED
    database = tmp_path / "copy.lt" / "documents.sqlite"
    assert database.exists()
    (segment,) = (path for path in (tmp_path / "copy.lt").rglob("*") if path.suffix == ".safetensors")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    status, _, err = run("verify", tmp_path / "copy.lt")
    assert (status, segment.name in err) == (cli.FAILED, True)


@pytest.mark.parametrize("command", [["search", "x"], ["get", "x"], ["list"], ["remove", "x"], ["verify"], ["compact"]])
def test_only_index_creates_a_collection(run: Run, tmp_path: Path, command: list[str]) -> None:
    status, _, err = run(command[0], tmp_path / "typo.lt", *command[1:])
    assert (status, "latelite index" in err) == (cli.FAILED, True)
    assert not (tmp_path / "typo.lt").exists()
