"""A text on its way from a file to passages: stretches of it, with the place that each comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ANYWHERE, WORD, LINE, SENTENCE, PARAGRAPH, HEADING = 0, 1, 2, 3, 4, 5
"""How good a place between two stretches is for a cut. Headings of depth 6 to 1 count 5 to 10."""

Fault = Callable[[str, str], object]
"""Called with a place in the file ("line 3", "page 7") and a sentence when something there cannot be read."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of text: a line of a file, a paragraph of a page."""

    text: str
    """With the white space that separates it from what follows."""
    strength: int = PARAGRAPH
    """Of the boundary in front of it."""
    line: int | None = None
    """1-based."""
    page: int | None = None
    """1-based: page, slide or chapter."""
    headings: tuple[str, ...] = ()
    """Of the section that it is in, outermost first."""
    title: str | None = None
    """Of the whole document, as far as known here."""


@dataclass(frozen=True, slots=True)
class Record:
    """A document that a file holds under an id of its own."""

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
        """Begin a section of ``depth`` 1, 2, ...: it ends the open ones that are not above it."""
        heading = " ".join(heading.split())
        self._open = [each for each in self._open if each[0] < depth]
        if heading:
            self._open.append((depth, heading))
        self.path = tuple(heading for _, heading in self._open)
