"""Blocks: the text of a file in order, with positions and headings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ANYWHERE, WORD, LINE, SENTENCE, PARAGRAPH, HEADING = 0, 1, 2, 3, 4, 5
"""Strength of a boundary between two blocks: stronger ones are better cuts. Headings of depth 6 to 1 have 5 to 10."""

Fault = Callable[[str, str], object]
"""Callback for a part that cannot be read: its position ("line 3", "page 7"), and a sentence."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of text: a line of a file, a paragraph of a page."""

    text: str
    """Text with its trailing white space."""
    strength: int = PARAGRAPH
    """Strength of the boundary before it."""
    line: int | None = None
    """1-based."""
    page: int | None = None
    """Page, slide or chapter, from 1."""
    headings: tuple[str, ...] = ()
    """Headings of its section, outermost first."""
    title: str | None = None
    """Title of the document, if known at this point."""


@dataclass(frozen=True, slots=True)
class Record:
    """A document in a file that has its own id."""

    id: str
    text: str
    metadata: dict[str, object]
    line: int


def heading_strength(depth: int) -> int:
    """Strength of the boundary before a heading of ``depth`` 1, 2, ..."""
    return HEADING + max(0, 6 - depth)


class Outline:
    """The path of headings at a point of a document."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []
        self.path: tuple[str, ...] = ()

    def enter(self, depth: int, heading: str) -> None:
        """Begin a section of ``depth`` 1, 2, ...; ends open sections of this depth or deeper."""
        heading = " ".join(heading.split())
        self._open = [each for each in self._open if each[0] < depth]
        if heading:
            self._open.append((depth, heading))
        self.path = tuple(heading for _, heading in self._open)
