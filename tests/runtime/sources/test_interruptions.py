"""Runs that are killed, wait for each other, meet files that cannot be read, or go on with every change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Run, ordinary_user
from folder_notes import content, counts, paragraph
from latelite import Collection, cli
from latelite.errors import IndexWriteError
from latelite.models import ColBERT

INDEX = "import sys; from latelite import cli; sys.exit(cli.main(['index', *sys.argv[1:]]))"


def test_bad_files_do_not_stop_the_run(notes: Path, tmp_path: Path, run: Run, bundle: Callable[[str], Path]) -> None:
    (notes / "chat-log.jsonl").write_text('{"user": "a", "said": "x"}\n{"user": "b", "said": "y"}\n')
    (notes / "ok.jsonl").write_text('{"id": 1, "text": "one"}\n{"id": 2, "text": null}\n{"id": "3", "text": "three"}\n')
    (notes / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (notes / "core.txt").write_bytes(b"words\0\0\0\0\0\0\0\0\xff\xfe\0")
    (notes / "broken.docx").write_bytes(b"PK\x03\x04" + bytes(100))
    model = bundle("bert-pylate")
    status, out, err = run("index", tmp_path / "n.lt", notes, "--model", model, "--json")
    report = json.loads(out)
    assert status == cli.FAILED
    assert (report["files"], report["added"]) == (4, 4)
    assert {each["path"] for each in report["skipped"]} == {"notes/picture.png", "notes/core.txt"}
    assert [each["path"] for each in report["failed"]] == [
        "notes/broken.docx",
        "notes/chat-log.jsonl, line 1",
        "notes/chat-log.jsonl, line 2",
        "notes/ok.jsonl, line 2",
    ]
    assert len(err.splitlines()) == 4
    status, out, err = run("index", tmp_path / "n.lt", notes)
    assert status == cli.FAILED  # said again, until it is mended
    assert "skipped notes/picture.png: it is a PNG image" in err
    assert "4 unchanged" in out
    (notes / "ok.jsonl").write_text(
        '{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n{"id": "3", "text": "three"}\n'
    )
    for name in ("chat-log.jsonl", "broken.docx"):
        (notes / name).unlink()
    status, out, err = run("index", tmp_path / "n.lt", notes, "--json")
    assert (status, err, json.loads(out)["added"]) == (0, "", 1)


def test_what_may_not_be_read_keeps_its_passages(shared_folder: Path, model: ColBERT) -> None:
    notes = shared_folder / "notes"
    (notes / "sub").mkdir(parents=True)
    (notes / "a.md").write_text("Bread needs rye flour.")
    (notes / "b.md").write_text("Second.")
    (notes / "sub" / "c.md").write_text("Third.")
    with Collection(shared_folder / "n.lt", model) as collection:
        collection.add_files(notes)
        before = content(collection)
        with ordinary_user(shared_folder):
            (notes / "sub").chmod(0)
            os.utime(notes / "a.md", (1, 1))
            (notes / "a.md").chmod(0)
            (notes / "b.md").write_text("Changed.")
            report = collection.add_files(notes)
            (notes / "sub").chmod(0o700)
        assert {(each.path, each.reason.partition(":")[0]) for each in report.failed} == {
            ("notes/sub", "cannot be listed"),
            ("notes/a.md", "cannot be read"),
        }
        assert report.added == 1
        assert content(collection).keys() == before.keys()
        assert [text for text, _ in content(collection).values()].count("Changed.") == 1


def test_a_collection_that_may_not_be_written_says_so_before_it_encodes(
    shared_folder: Path, model: ColBERT, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latelite.sources import target

    (shared_folder / "a.md").write_text("Bread needs rye flour.")
    with Collection(shared_folder / "n.lt", model) as collection:
        collection.add_files(shared_folder / "a.md")
    (shared_folder / "b.md").write_text("More.")
    monkeypatch.setattr(target, "encode", None)
    with ordinary_user(shared_folder), Collection(shared_folder / "n.lt") as collection:
        next(collection.folder.rglob("documents.sqlite")).parent.chmod(0o500)
        with pytest.raises(IndexWriteError, match=r"Permission denied.*unchanged"):
            collection.add_files(shared_folder / "b.md")


def test_two_runs_at_once_wait_for_each_other(tmp_path: Path, bundle: Callable[[str], Path]) -> None:
    model = bundle("bert-pylate")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for number in range(40):
            (tmp_path / name / f"{number}.md").write_text(f"{name}: {paragraph(number)}")
    Collection(tmp_path / "n.lt", model).close()
    command: list[str | Path] = [sys.executable, "-c", INDEX, tmp_path / "n.lt"]
    runs = [
        subprocess.Popen([*command, tmp_path / name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("one", "two", "one")
    ]
    for process in runs:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "40 files" in out
    with Collection(tmp_path / "n.lt") as collection:
        assert len(collection) == 80


def test_an_interrupted_run_is_completed_by_the_next(tmp_path: Path, bundle: Callable[[str], Path]) -> None:
    model = bundle("bert-pylate")
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number}.md").write_text("\n\n".join(paragraph(number * 10 + part) for part in range(10)))
    Collection(tmp_path / "n.lt", model).close()
    for wait in (0.6, 1.2, 1.8):
        process = subprocess.Popen([sys.executable, "-c", INDEX, tmp_path / "n.lt", folder], stdout=subprocess.DEVNULL)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Collection(tmp_path / "n.lt") as collection:
        before = len(collection)
        report = collection.add_files(folder)
        assert report.unchanged == before
        with Collection(tmp_path / "fresh.lt", model) as fresh:
            fresh.add_files(folder)
            assert content(collection) == content(fresh)
        collection.verify()


def test_watching_keeps_in_step(notes: Path, collection: Collection) -> None:
    pytest.importorskip("watchfiles", reason="watchfiles (extra watch) is not installed")
    from latelite.sources import watching

    collection.add_files(notes)
    stop = threading.Event()
    reports = watching.watch(collection, stop=stop)
    assert counts(next(reports)) == (0, 2, 0, 0)
    writer = threading.Timer(1.0, lambda: (notes / "c.md").write_text("Something new about zeppelins."))
    ending = threading.Timer(60, stop.set)  # so that a fault fails instead of hanging
    writer.start()
    ending.start()
    report = next(reports, None)
    stop.set()
    ending.cancel()
    assert report is not None
    assert report.added == 1
    assert any("zeppelins" in text for text, _ in content(collection).values())


def test_without_watchfiles_one_sentence_says_what_to_install(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latelite.errors import MissingExtraError
    from latelite.sources import watching

    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'latelite\[watch\]'"):
        next(watching.watch(collection))
