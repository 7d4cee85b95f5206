"""A page of training text: one text, and the queries that it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

SHORTEST = 40
"""Minimum characters of a document."""


@dataclass(frozen=True)
class Page:
    """A text in one language, with queries that it answers in that language."""

    source: str
    key: str
    language: str
    text: str
    queries: tuple[str, ...] = ()
    foreign: tuple[tuple[str, str], ...] = ()
    """Queries in other languages, as (language, text)."""


def fold(text: str) -> str:
    """Replace each run of white space by one space."""
    return " ".join(text.split())


def first_sentence(text: str) -> str:
    """The text up to the first full stop, exclamation or question mark before a space; white space must be folded."""
    return re.split(r"(?<=[.!?]) ", text, maxsplit=1)[0]
