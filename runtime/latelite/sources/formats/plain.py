"""Plain text and source code: lines, with empty lines between paragraphs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from latelite.sources.blocks import ANYWHERE, LINE, PARAGRAPH, Block
from latelite.sources.formats.lines import lines


def read(text: IO[str]) -> Iterator[Block]:
    """A block for each line; a line after an empty one begins a paragraph."""
    empty = True
    for number, line, going_on in lines(text):
        yield Block(line, ANYWHERE if going_on else PARAGRAPH if empty and line.strip() else LINE, line=number)
        empty = not line.strip()
