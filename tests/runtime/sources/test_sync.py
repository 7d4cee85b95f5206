"""After every run that completes, a collection has what its folders have."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Run
from folder_notes import content, counts, paragraph
from latelite import Collection, cli


def test_metadata_says_where_a_passage_stands(notes: Path, collection: Collection) -> None:
    collection.add_files(notes)
    found = {metadata["path"]: (text, metadata) for text, metadata in content(collection).values()}
    assert found["notes/a.md"] == (
        "# Bread\n\nBread needs rye flour.",
        {"path": "notes/a.md", "line": 1, "heading": "Bread", "title": "Bread"},
    )


def test_deleted_and_renamed_files(notes: Path, collection: Collection) -> None:
    assert counts(collection.add_files(notes)) == (2, 0, 0, 0)
    (notes / "b.md").unlink()
    (notes / "a.md").rename(notes / "c.md")
    report = collection.add_files(notes)
    assert counts(report) == (0, 0, 1, 1)
    assert (report.files_renamed, report.files_removed, report.files) == (1, 1, 1)
    ((_, metadata),) = content(collection).values()
    assert metadata["path"] == "notes/c.md"
    assert counts(collection.add_files(notes)) == (0, 1, 0, 0)


def test_an_inserted_line_encodes_its_neighbours_only(notes: Path, collection: Collection) -> None:
    text = "\n\n".join(paragraph(number) for number in range(120))
    (notes / "long.md").write_text(text)
    first = collection.add_files(notes)
    assert first.added > 20
    before = content(collection)
    (notes / "long.md").write_text("One line more.\n" + text)
    report = collection.add_files(notes)
    assert report.added <= 3
    assert report.added + report.unchanged == len(collection)
    kept = set(before) & set(content(collection))
    assert len(kept) >= len(before) - 3
    moved = [id_ for id_ in kept if before[id_][1].get("line", 0) > 10]
    assert all(content(collection)[id_][1]["line"] == before[id_][1]["line"] + 1 for id_ in moved)


def test_one_folder_by_any_path_is_one_root(
    notes: Path, collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(notes)
    collection.add_files(notes)
    before = content(collection)
    monkeypatch.chdir(notes)
    for path in (".", "../link", str(notes) + "/", "../notes/../notes"):
        assert counts(collection.add_files(path)) == (0, 2, 0, 0)
    assert content(collection) == before


def test_two_roots_with_the_same_names_live_side_by_side(tmp_path: Path, collection: Collection) -> None:
    for number, project in enumerate(("one", "two")):
        (tmp_path / project / "docs").mkdir(parents=True)
        (tmp_path / project / "docs" / "readme.md").write_text(f"This is project {number}.")
        collection.add_files(tmp_path / project / "docs")
    assert len(collection) == 2
    (tmp_path / "two" / "docs" / "readme.md").unlink()
    collection.add_files(tmp_path / "two" / "docs")
    ((text, _),) = content(collection).values()
    assert text == "This is project 0."


def test_a_file_reached_by_two_arguments_is_read_once(notes: Path, collection: Collection) -> None:
    (notes / "sub").mkdir()
    (notes / "sub" / "c.md").write_text("Third.")
    report = collection.add_files(notes, notes / "sub", notes / "a.md")
    assert (report.added, report.files, report.failed) == (3, 3, [])
    assert counts(collection.add_files(notes / "sub", notes / "a.md")) == (0, 2, 0, 0)
    (notes / "sub" / "c.md").write_text("Third, changed.")
    (notes / "b.md").write_text("Not looked at.")
    assert counts(collection.add_files(notes / "sub")) == (1, 0, 0, 0)
    assert any("bicycle" in text for text, _ in content(collection).values())


def test_a_wider_folder_takes_over_the_narrower(notes: Path, collection: Collection) -> None:
    (notes / "sub").mkdir()
    (notes / "sub" / "c.md").write_text("Third.")
    collection.add_files(notes / "sub", notes / "a.md")
    report = collection.add_files(notes)
    assert counts(report) == (1, 1, 0, 1)
    assert {metadata["path"] for _, metadata in content(collection).values()} == {
        "notes/a.md",
        "notes/b.md",
        "notes/sub/c.md",
    }
    assert counts(collection.add_files()) == (0, 3, 0, 0)


def test_files_named_by_themselves(notes: Path, collection: Collection) -> None:
    collection.add_files(notes / "a.md")
    assert counts(collection.add_files(notes / "b.md")) == (1, 0, 0, 0)
    assert counts(collection.add_files()) == (0, 2, 0, 0)
    (notes / "a.md").unlink()
    assert counts(collection.add_files(notes / "b.md")) == (0, 1, 1, 0)


def test_keep_missing(notes: Path, collection: Collection) -> None:
    collection.add_files(notes)
    (notes / "b.md").unlink()
    assert counts(collection.add_files(notes, keep_missing=True)) == (0, 1, 0, 0)
    assert len(collection) == 2
    assert counts(collection.add_files(notes)) == (0, 1, 1, 0)


def test_a_dry_run_says_what_a_run_does_and_changes_nothing(notes: Path, collection: Collection) -> None:
    collection.add_files(notes)
    before = content(collection)
    (notes / "b.md").rename(notes / "z.md")
    (notes / "a.md").write_text("Something else.")
    (notes / "new.md").write_text("New.")
    dry = collection.add_files(notes, dry_run=True)
    assert content(collection) == before
    real = collection.add_files(notes)
    assert counts(dry) == counts(real) == (2, 0, 0, 1)
    assert dry.documents == real.documents == len(collection)


def test_a_dry_run_creates_nothing(notes: Path, tmp_path: Path, run: Run, bundle: Callable[[str], Path]) -> None:
    model = bundle("bert-pylate")
    status, out, _ = run("index", tmp_path / "new.lt", notes, "--model", model, "--dry-run", "--json")
    assert status == 0
    assert (json.loads(out)["added"], json.loads(out)["dry_run"]) == (2, True)
    assert not (tmp_path / "new.lt").exists()


def test_the_collection_inside_the_folder(notes: Path, monkeypatch: pytest.MonkeyPatch, run: Run, bundle: Any) -> None:
    monkeypatch.chdir(notes)
    assert run("index", "notes.lt", ".", "--model", bundle("bert-pylate"))[0] == 0
    status, out, _ = run("index", "notes.lt", ".", "--json")
    assert (status, json.loads(out)["unchanged"], json.loads(out)["documents"]) == (0, 2, 2)


def test_encodings_and_names(tmp_path: Path, collection: Collection, run: Run) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "corpus.jsonl").write_bytes(b"\xef\xbb\xbf" + '{"id": "bom", "text": "Grüße"}\n'.encode())
    (folder / "n.txt").write_bytes("Grüße aus Köln".encode("utf-16"))
    (folder / "b.md").write_bytes(b"\xef\xbb\xbf# Titel\n")
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_text("coffee")
    assert not collection.add_files(folder).problems
    texts = {text for text, _ in content(collection).values()}
    assert texts == {"Grüße", "Grüße aus Köln", "# Titel", "coffee"}
    assert counts(collection.add_files(folder)) == (0, 4, 0, 0)
    collection.close()
    for arguments in (("search", collection.folder, "coffee"), ("sources", collection.folder)):
        for option in ((), ("--json",)):
            status, out, _ = run(*arguments, *option)
            assert status == 0
            out.encode()


def test_standard_input_and_pipes(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, bundle: Callable[[str], Path]
) -> None:
    class Stdin:
        buffer = io.BytesIO(b'{"id": "x", "text": "from a pipe"}\n')

    monkeypatch.setattr("sys.stdin", Stdin)
    assert run("index", tmp_path / "n.lt", "-", "--model", bundle("bert-pylate"))[0] == 0
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text("Plain text."))
    writer.start()
    status, out, _ = run("index", tmp_path / "n.lt", pipe, "--json")
    writer.join()
    assert (status, json.loads(out)["documents"]) == (0, 2)
    with Collection(tmp_path / "n.lt") as collection:
        assert {text for text, _ in content(collection).values()} == {"from a pipe", "Plain text."}


def test_nothing_named_and_nothing_found(tmp_path: Path, notes: Path, run: Run, bundle: Callable[[str], Path]) -> None:
    model = bundle("bert-pylate")
    assert run("index", tmp_path / "n.lt", "--model", model)[0] == cli.USAGE
    assert not (tmp_path / "n.lt").exists()
    status, out, _ = run("index", tmp_path / "n.lt", notes, "--model", model, "--suffix", "log")
    assert (status, "none found" in out) == (0, True)
    status, out, _ = run("index", tmp_path / "n.lt", tmp_path / "nowhere", "--model", model)
    assert (status, out) == (cli.FAILED, "")


def test_a_second_run_looks_at_names_and_times_only(
    notes: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latelite.sources import reading, sync

    past = time.time() - 1000
    for file in notes.iterdir():
        os.utime(file, (past, past))
    time.sleep(2.1)  # until the time of the entry itself is relied on
    collection.add_files(notes)

    def refuse(*arguments: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(sync, "open_work", refuse)
    monkeypatch.setattr(reading, "read", refuse)
    assert counts(collection.add_files(notes)) == (0, 2, 0, 0)


def test_same_size_and_a_moment_later_is_seen(notes: Path, collection: Collection) -> None:
    for number in range(5):
        (notes / "a.md").write_text(f"Bread number {number}.")
        collection.add_files(notes)
        assert any(text == f"Bread number {number}." for text, _ in content(collection).values())
