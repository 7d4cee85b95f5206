"""Files become passages without losing or inventing text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latelite import passages

TEXT = """First paragraph, one line.

Second paragraph.
It has two lines.


Third paragraph."""


def test_paragraphs_are_packed_up_to_the_limit() -> None:
    assert list(passages.split(TEXT, limit=1000)) == [(1, TEXT)]
    assert list(passages.split(TEXT, limit=40)) == [
        (1, "First paragraph, one line."),
        (3, "Second paragraph.\nIt has two lines."),
        (7, "Third paragraph."),
    ]


def test_a_long_paragraph_is_cut_at_sentences() -> None:
    text = "One sentence here. Another one there. And a third."
    assert [passage for _, passage in passages.split(text, limit=20)] == [
        "One sentence here.",
        "Another one there.",
        "And a third.",
    ]


@given(st.text(alphabet="ab .\n\t", max_size=300), st.integers(1, 50))
def test_every_word_is_in_exactly_one_passage_and_none_is_too_long(text: str, limit: int) -> None:
    found = [passage for _, passage in passages.split(text, limit=limit)]
    assert all(len(passage) <= limit and passage.strip() == passage != "" for passage in found)
    assert "".join("".join(found).split()) == "".join(text.split())


@given(st.text(alphabet="ab .\n", max_size=200), st.integers(5, 50))
def test_lines_are_where_the_passages_start(text: str, limit: int) -> None:
    lines = text.split("\n")
    for line, passage in passages.split(text, limit=limit):
        assert passage.split("\n")[0] in lines[line - 1]


def test_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_text('{"_id": "7", "title": "T", "text": "x", "year": 1999}\n\n{"id": 8, "text": "y"}\n')
    assert list(passages.read(file, limit=10)) == [
        passages.Passage("7", "T\nx", {"year": 1999}),
        passages.Passage("8", "y", {}),
    ]


@pytest.mark.parametrize("line", ["{", "[]", '{"id": 1}', '{"text": "x"}'])
def test_a_bad_json_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_text('{"id": 1, "text": "x"}\n' + line)
    with pytest.raises(ValueError, match=r"corpus\.jsonl, line 2"):
        list(passages.read(file, limit=10))


def test_folders_are_searched_for_text_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    for name in ("b.md", "a.txt", "picture.png", ".hidden.md", ".git/c.md", "deep/er/d.RST", "data.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = [file.relative_to(tmp_path).as_posix() for file in passages.find([tmp_path])]
    assert found == ["a.txt", "b.md", "data.jsonl", "deep/er/d.RST"]
    assert passages.find([tmp_path / "picture.png"]) == [tmp_path / "picture.png"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        passages.find([tmp_path / "nowhere"])


def test_undecodable_bytes_do_not_stop_a_run(tmp_path: Path) -> None:
    file = tmp_path / "latin1.txt"
    file.write_bytes("Grüße".encode("latin-1"))
    (passage,) = passages.read(file, limit=100)
    assert passage.text == "Gr\ufffd\ufffde"
    assert passage.id.endswith("latin1.txt#1")
