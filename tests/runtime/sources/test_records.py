"""The record of files: which documents come from which file, and which from elsewhere."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Run
from folder_notes import content, counts, paragraph
from latelite import Collection
from latelite.errors import IndexCorruptError, IndexVersionError


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


def test_sources_are_listed(tmp_path: Path, notes: Path, run: Run, bundle: Callable[[str], Path]) -> None:
    run("index", tmp_path / "n.lt", notes, "--model", bundle("bert-pylate"))
    status, out, _ = run("sources", tmp_path / "n.lt", "--json")
    (source,) = json.loads(out)["sources"]
    assert status == 0
    assert (source["location"], source["files"], source["passages"]) == (str(notes), 2, 2)
    assert source["last_run"]
    status, out, _ = run("sources", tmp_path / "n.lt")
    assert "2 files, 2 passages" in out


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


def test_exclude_and_suffix_are_remembered(notes: Path, collection: Collection) -> None:
    (notes / "c.txt").write_text("Third.")
    assert collection.add_files(notes, exclude=["b.*"]).added == 2
    assert counts(collection.add_files()) == (0, 2, 0, 0)
    assert counts(collection.add_files(notes, suffixes=["md"])) == (1, 1, 1, 0)


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
