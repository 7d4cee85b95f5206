"""Files of records: documents as JSON lines, tables as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import IO, Any

from latelite.sources.blocks import LINE, PARAGRAPH, Block, Fault, Record

LONGEST = 1 << 26
"""Maximum characters of a JSON line; longer ones are reported and skipped."""

_FIELD = 1 << 20  # maximum characters of a cell; the csv module's default of 128 kB is too small for tables of texts
_LINE = 1 << 22
_SNIFFED = 1 << 14


def json_lines(text: IO[str], fault: Fault) -> Iterator[Record]:
    """One document per line, with ``id`` or ``_id``, ``text``, optionally ``title``; other fields are metadata.

    A title is prepended to the text, as in BEIR. Lines that are not such documents, and lines with the id of an earlier
    line, are reported and skipped.
    """
    lines_of_ids: dict[str, int] = {}
    number = 0
    while line := text.readline(LONGEST):
        number += 1
        if len(line) == LONGEST and not line.endswith("\n"):
            while line and not line.endswith("\n"):
                line = text.readline(LONGEST)
            fault(f"line {number}", f"is longer than {LONGEST >> 20} million characters")
            continue
        if not line.strip(" \t\n\r\0"):
            continue
        try:
            record = _record(line, number)
        except (ValueError, RecursionError) as error:
            fault(f"line {number}", f"is not a document with id and text: {error}")
            continue
        first = lines_of_ids.setdefault(record.id, number)
        if first != number:
            fault(f"line {number}", f"has the id {record.id!r}, which line {first} has already")
            continue
        yield record


def table(text: IO[str], fault: Fault, *, tabs: bool = False) -> Iterator[Block]:
    """A block for each row: ``column: value`` lines if the first row names the columns, else the values."""
    sample = text.read(_SNIFFED)
    delimiter, has_names = _dialect(sample, tabs)
    rows = csv.reader(_Continued(sample, text), delimiter=delimiter)
    previous = csv.field_size_limit(_FIELD)
    try:
        names: list[str] | None = None
        while True:
            line = rows.line_num + 1
            try:
                row = next(rows, None)
            except csv.Error as error:
                fault(f"line {rows.line_num}", f"cannot be read: {error}")
                continue
            if row is None:
                return
            cells = [" ".join(cell.split()) for cell in row]
            if not any(cells):
                continue
            if has_names and names is None:
                names = cells
                continue
            if names:
                names += [""] * (len(cells) - len(names))
                shown = [f"{name}: {cell}" if name else cell for name, cell in zip(names, cells, strict=False) if cell]
                yield Block("\n".join(shown) + "\n\n", PARAGRAPH, line=line)
            else:
                yield Block(" | ".join(filter(None, cells)) + "\n", LINE, line=line)
    finally:
        csv.field_size_limit(previous)


def _record(line: str, number: int) -> Record:
    fields: Any = json.loads(line, parse_constant=_refuse)
    if not isinstance(fields, dict):
        raise ValueError(f"it is a JSON {_name(fields)}")
    id_ = fields.pop("id", None)
    other = fields.pop("_id", None) if id_ is None else None
    id_ = other if id_ is None else id_
    if isinstance(id_, bool) or not isinstance(id_, int | str):
        raise ValueError("it has no id" if id_ is None else f"its id is {_name(id_)}, not a string or an integer")
    text, title = fields.pop("text", None), fields.pop("title", None)
    if not isinstance(text, str):
        raise ValueError("it has no text" if text is None else f"its text is {_name(text)}, not a string")
    if title is not None and not isinstance(title, str):
        raise ValueError(f"its title is {_name(title)}, not a string")
    return Record(str(id_), f"{title}\n{text}".strip() if title else text, fields, number)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _name(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "a truth value",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")


def _dialect(sample: str, tabs: bool) -> tuple[str, bool]:
    """The delimiter of a table, and whether its first row names the columns."""
    if not sample.strip():
        return ",", False
    lines = [line for line in sample.split("\n") if line.strip()][:20]

    def parsed(mark: str) -> list[list[str]]:
        return list(csv.reader((f"{line}\n" for line in lines), delimiter=mark))

    def alike(mark: str) -> tuple[int, int]:
        """Number of rows with as many cells as the first, and that number of cells."""
        cells = [len(row) for row in parsed(mark)]
        return (cells.count(cells[0]) if cells[0] > 1 else 0), cells[0]

    # Not csv.Sniffer, whose regular expressions take seconds on some texts.
    delimiter = "\t" if tabs else max(",;\t|", key=alike)
    rows = parsed(delimiter)
    first = [cell.strip() for cell in rows[0]] if rows else []
    return delimiter, (
        len(first) > 1
        and len(rows) > 1
        and all(first)
        and len(set(first)) == len(first)
        and all(len(cell) <= 60 and not cell.replace(".", "").replace("-", "").isdigit() for cell in first)
    )


class _Continued:
    """The lines of a sample read before, then those of the rest of the file."""

    def __init__(self, sample: str, rest: IO[str]) -> None:
        self._lines = list(io.StringIO(sample))
        self._rest = rest

    def __iter__(self) -> Iterator[str]:
        for line in self._lines[:-1]:
            yield line.replace("\0", " ")
        if self._lines:
            last = self._lines[-1]
            yield (last if last.endswith("\n") else last + self._rest.readline(_LINE)).replace("\0", " ")
        while line := self._rest.readline(_LINE):
            yield line.replace("\0", " ")
