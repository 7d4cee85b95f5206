"""A page of training text: what a document is made of, and the questions that it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

SHORTEST = 40
"""Characters of the shortest text worth a document."""


@dataclass(frozen=True)
class Page:
    """One text in one language, and queries that it answers in that language."""

    source: str
    key: str
    language: str
    text: str
    queries: tuple[str, ...] = ()
    foreign: tuple[tuple[str, str], ...] = ()
    """Queries in other languages, each with its language."""


def fold(text: str) -> str:
    """White space folded."""
    return " ".join(text.split())


def first_sentence(text: str) -> str:
    """Up to the first full stop, exclamation or question mark before a space; white space must be folded."""
    return re.split(r"(?<=[.!?]) ", text, maxsplit=1)[0]
