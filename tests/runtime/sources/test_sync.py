"""A collection is what the folders are, after every run that completes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Run, ordinary_user
from latelite import Collection, cli
from latelite.errors import IndexCorruptError, IndexVersionError, IndexWriteError
from latelite.models import ColBERT
from latelite.sources.report import Report

WORDS = ["rye", "bread", "train", "north", "water", "seven", "book", "table", "garden", "winter", "letter", "stone"]


def paragraph(seed: int, sentences: int = 5) -> str:
    return " ".join(
        " ".join(WORDS[(seed * 7 + s * 5 + w * (seed % 3 + 1)) % len(WORDS)] for w in range(8)).capitalize()
        + f" {seed}{s}."
        for s in range(sentences)
    )


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("# Bread\n\nBread needs rye flour.\n")
    (folder / "b.md").write_text("The bicycle tyre has to be repaired.\n")
    return folder


@pytest.fixture
def collection(tmp_path: Path, model: ColBERT) -> Collection:
    return Collection(tmp_path / "notes.lt", model)


def content(collection: Collection) -> dict[Any, tuple[str, dict[str, Any]]]:
    return {document.id: (document.text, dict(document.metadata)) for document in collection}


def counts(report: Report) -> tuple[int, int, int, int]:
    return report.added, report.unchanged, report.removed, report.moved


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


def test_lines_of_json_that_are_gone(tmp_path: Path, collection: Collection) -> None:
    corpus = tmp_path / "corpus.jsonl"
    lines = ['{"id": 1, "text": "rye bread", "year": 1999}', '{"id": 2, "text": "the train"}', '{"id": 3, "text": "x"}']
    corpus.write_text("\n".join(lines))
    collection.add_files(corpus)
    assert content(collection)["1"] == ("rye bread", {"year": 1999})
    corpus.write_text("\n".join([lines[0].replace("1999", "2001"), lines[2].replace('"x"', '"y"')]))
    assert counts(collection.add_files(corpus)) == (1, 1, 1, 0)
    assert content(collection) == {"1": ("rye bread", {"year": 2001}), "3": ("y", {})}
    corpus.rename(tmp_path / "other.jsonl")
    assert counts(collection.add_files(tmp_path / "other.jsonl")) == (0, 0, 0, 2)
    assert set(content(collection)) == {"1", "3"}


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


def test_documents_of_other_origin_are_left_alone(notes: Path, collection: Collection) -> None:
    path = {"path": "notes/a.md"}
    collection.add(["mine", "odd", 7], ["about bread", "x", "y"], [path, {"path": ["a", "b"]}, {}])
    corpus = notes / "docs.jsonl"
    corpus.write_text('{"id": "mine", "text": "theirs"}\n{"id": "doc1", "text": "t", "path": "notes/a.md"}\n')
    report = collection.add_files(notes)
    assert report.added == 3
    assert [each.path for each in report.failed] == ["notes/docs.jsonl, line 1"]
    assert "not added from a file" in report.failed[0].reason
    for _ in range(2):
        assert counts(collection.add_files(notes)) == (0, 3, 0, 0)
    (notes / "a.md").unlink()
    corpus.unlink()
    collection.add_files(notes)
    assert set(content(collection)) - {"mine", "odd", 7} == {
        id_ for id_, (_, metadata) in content(collection).items() if metadata.get("path") == "notes/b.md"
    }
    assert content(collection)["mine"] == ("about bread", path)


def test_a_document_that_somebody_replaced_is_theirs(tmp_path: Path, collection: Collection) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"id": 1, "text": "rye bread"}\n{"id": 2, "text": "x"}\n')
    collection.add_files(corpus)
    collection.add(["1"], ["written by hand"])
    corpus.write_text('{"id": 2, "text": "x"}\n')
    collection.add_files(corpus)
    assert content(collection)["1"][0] == "written by hand"


def test_a_passage_that_was_removed_by_hand_comes_back(notes: Path, collection: Collection) -> None:
    collection.add_files(notes)
    before = content(collection)
    time.sleep(0.01)
    collection.remove([next(iter(before))])
    assert counts(collection.add_files(notes)) == (1, 1, 0, 0)
    assert content(collection) == before


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


def test_exclude_and_suffix_are_remembered(notes: Path, collection: Collection) -> None:
    (notes / "c.txt").write_text("Third.")
    assert collection.add_files(notes, exclude=["b.*"]).added == 2
    assert counts(collection.add_files()) == (0, 2, 0, 0)
    assert counts(collection.add_files(notes, suffixes=["md"])) == (1, 1, 1, 0)


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


def test_duplicate_ids_name_both_places(tmp_path: Path, collection: Collection) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"id": {n}, "text": "a {n}"}}\n' for n in range(600)))
    (tmp_path / "b.jsonl").write_text("".join(f'{{"id": "{n}", "text": "b {n}"}}\n' for n in range(3)))
    for _ in range(2):
        report = collection.add_files(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
        assert len(collection) == 600
        assert [each.path.partition("/")[2] for each in report.failed] == [f"b.jsonl, line {n}" for n in (1, 2, 3)]
        assert "a.jsonl has already" in report.failed[0].reason
        assert content(collection)["1"][0] == "a 1"


def test_a_line_that_moves_between_files(tmp_path: Path, collection: Collection) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_text('{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n')
    second.write_text('{"id": 3, "text": "three"}\n')
    collection.add_files(first, second)
    second.write_text('{"id": 3, "text": "three"}\n{"id": 2, "text": "two"}\n')
    first.write_text('{"id": 1, "text": "one"}\n')
    assert not collection.add_files(first, second).failed
    first.write_text('{"id": 1, "text": "one"}\n{"id": 3, "text": "three"}\n')
    second.write_text('{"id": 2, "text": "two"}\n')
    assert not collection.add_files(first, second).failed
    assert {id_: text for id_, (text, _) in content(collection).items()} == {"1": "one", "2": "two", "3": "three"}
    assert counts(collection.add_files(first, second)) == (0, 3, 0, 0)


def test_long_documents_in_json_lines_become_passages(tmp_path: Path, collection: Collection) -> None:
    long = " ".join(paragraph(number) for number in range(40)) + " The last sentence is about zeppelins."
    (tmp_path / "a.jsonl").write_text(
        "\n".join(json.dumps({"id": n, "text": long if n == 3 else f"short {n}", "n": n}) for n in range(6))
    )
    collection.add_files(tmp_path / "a.jsonl")
    assert not any(document.truncated for document in collection)
    parts = [(id_, found) for id_, found in content(collection).items() if found[1]["n"] == 3]
    assert len(parts) > 3
    assert all(id_.startswith("3#") and found[1]["document"] == "3" for id_, found in parts)
    assert any("zeppelins" in found[0] for _, found in parts)


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


def test_sources_are_listed(tmp_path: Path, notes: Path, run: Run, bundle: Callable[[str], Path]) -> None:
    run("index", tmp_path / "n.lt", notes, "--model", bundle("bert-pylate"))
    status, out, _ = run("sources", tmp_path / "n.lt", "--json")
    (source,) = json.loads(out)["sources"]
    assert status == 0
    assert (source["location"], source["files"], source["passages"]) == (str(notes), 2, 2)
    assert source["last_run"]
    status, out, _ = run("sources", tmp_path / "n.lt")
    assert "2 files, 2 passages" in out


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


def test_many_changed_files_are_few_transactions(
    notes: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latelite.storage.writer import Writer

    for number in range(100):
        (notes / f"{number}.md").write_text(f"{paragraph(number, 12)}\n\n{paragraph(number + 1, 12)}")
    assert collection.add_files(notes).added > 200
    for number in range(100):
        (notes / f"{number}.md").write_text(paragraph(number, 2))
    transaction, began = Writer.transaction, []

    def counted(writer: Writer) -> Any:
        began.append(1)
        return transaction(writer)

    monkeypatch.setattr(Writer, "transaction", counted)
    report = collection.add_files(notes)
    assert (report.files_changed, report.removed > 100) == (100, True)
    assert len(began) < 10


INDEX = "import sys; from latelite import cli; sys.exit(cli.main(['index', *sys.argv[1:]]))"


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


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE sources SET options = '{}' || ' '", "source 1"),
        ("UPDATE files SET size = size + 1 WHERE number = 2", "'b.md'"),
        ("UPDATE passages SET metadata = zeroblob(16) WHERE id = '\"notes/a.md#1\"'", 'passage "notes/a.md#1"'),
        ("DELETE FROM files WHERE number = 1", 'passage "notes/a.md#1"'),
        ("DELETE FROM sources", "passage"),
    ],
)
def test_damage_to_the_record_of_files_is_found(
    notes: Path, collection: Collection, statement: str, named: str
) -> None:
    collection.add_files(notes)
    collection.verify()
    with contextlib.closing(sqlite3.connect(next(collection.folder.rglob("documents.sqlite")))) as connection:
        connection.execute(statement)
        connection.commit()
    with pytest.raises(IndexCorruptError, match=f"record of its files is damaged: .*{named}"):
        collection.verify()


def test_damage_is_found_by_the_next_run_too(notes: Path, collection: Collection) -> None:
    collection.add_files(notes)
    with contextlib.closing(sqlite3.connect(next(collection.folder.rglob("documents.sqlite")))) as connection:
        connection.execute("UPDATE files SET modified = modified + 1")
        connection.commit()
    with pytest.raises(IndexCorruptError, match=r"'a\.md' does not match its checksum"):
        collection.add_files(notes)
    assert collection.search("rye bread")


def test_a_record_of_files_of_an_earlier_version_is_said(notes: Path, collection: Collection) -> None:
    collection.add_files(notes)
    with contextlib.closing(sqlite3.connect(next(collection.folder.rglob("documents.sqlite")))) as connection:
        connection.execute("ALTER TABLE passages DROP COLUMN checksum")
        connection.commit()
    for action in (lambda: collection.add_files(notes), collection.verify):
        with pytest.raises(IndexVersionError, match="earlier version; index the files into a new collection"):
            action()
