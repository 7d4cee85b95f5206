"""Files -> passages: what `latelite index` puts into a collection."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SUFFIXES = (".md", ".rst", ".txt", ".text", ".org", ".adoc")
"""Plain-text files that are picked up in a folder. A file named directly may have any other name."""

_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE = re.compile(r"(?<=[.!?…:;])\s+|\n")


@dataclass(frozen=True)
class Passage:
    """One document of a collection."""

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def find(paths: Sequence[Path], suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """Files to read: files as named, folders searched for ``suffixes`` and ``.jsonl`` (hidden ones left out), sorted.

    Raises:
        FileNotFoundError: a path does not exist.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            wanted = {*suffixes, ".jsonl"}
            files += sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in wanted
                and file.is_file()
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
            )
        elif path.exists():
            files.append(path)
        else:
            raise FileNotFoundError(f"{path} does not exist.")
    return files


def read(file: Path, *, limit: int) -> Iterator[Passage]:
    """Passages of one file.

    A ``.jsonl`` file holds one document a line with ``id`` or ``_id``, ``text``, optionally ``title`` (put in front of
    the text, as in BEIR) and anything else as metadata. Any other file is text in UTF-8 (undecodable bytes become
    U+FFFD): paragraphs are packed into passages of at most ``limit`` characters, named ``path#1``, ``path#2``, ...

    Raises:
        ValueError: a JSON line is not a document.
    """
    if file.suffix.lower() == ".jsonl":
        yield from _json_lines(file)
        return
    text = file.read_text(encoding="utf-8", errors="replace")
    for number, (line, passage) in enumerate(split(text, limit=limit), start=1):
        yield Passage(f"{file.as_posix()}#{number}", passage, {"path": file.as_posix(), "line": line})


def split(text: str, *, limit: int) -> Iterator[tuple[int, str]]:
    """Cut a text into passages of at most ``limit`` characters at paragraphs, else sentences, else anywhere.

    Returns:
        Pairs of the 1-based line on which a passage starts, and its text without surrounding white space.
    """
    start = 0
    end = 0
    for piece_start, piece_end in _pieces(text, limit):
        if end > start and piece_end - start > limit:
            if text[start:end].strip():
                yield _located(text, start, end)
            start = piece_start
        end = piece_end
    if text[start:end].strip():
        yield _located(text, start, end)


def _located(text: str, start: int, end: int) -> tuple[int, str]:
    start += len(text[start:end]) - len(text[start:end].lstrip())
    return text.count("\n", 0, start) + 1, text[start:end].rstrip()


def _pieces(text: str, limit: int) -> Iterator[tuple[int, int]]:
    """Spans that cover the text, none longer than ``limit``: paragraphs, cut up further where they are too long."""
    for start, end in _spans(_PARAGRAPH, text, 0, len(text)):
        if end - start <= limit:
            yield start, end
            continue
        for inner_start, inner_end in _spans(_SENTENCE, text, start, end):
            for cut in range(inner_start, inner_end, limit):
                yield cut, min(cut + limit, inner_end)


def _spans(boundary: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in boundary.finditer(text, start, end):
        if match.end() < end:
            yield start, match.end()
            start = match.end()
    if start < end:
        yield start, end


def _json_lines(file: Path) -> Iterator[Passage]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                fields = json.loads(line)
                id_ = fields.pop("id", None)
                id_ = fields.pop("_id") if id_ is None else id_
                text, title = fields.pop("text"), fields.pop("title", "")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{file}, line {number}: not a document with id and text ({error!r}).") from error
            yield Passage(str(id_), f"{title}\n{text}".strip() if title else text, fields)
