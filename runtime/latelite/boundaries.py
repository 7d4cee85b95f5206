"""Where words, and characters as people see them, begin and end in a text."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from latelite.words import unspaced

_JOINER = "\u200d"


def widened(text: str, start: int, end: int) -> tuple[int, int] | None:
    """A span without white space at its ends, and to the ends of the word that it is in; None if nothing is left."""
    if start < 0:
        return None
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start == end:
        return None
    while start > 0 and _holds_together(text[start - 1], text[start]):
        start -= 1
    while end < len(text) and _holds_together(text[end - 1], text[end]):
        end += 1
    return start, end


def _holds_together(one: str, other: str) -> bool:
    """Whether two neighbouring characters belong to one word, or to one character as people see it."""
    if _is_mark(other) or _JOINER in (one, other):
        return True
    return _is_letter(one) and _is_letter(other)


@lru_cache(maxsize=4096)
def _is_mark(character: str) -> bool:
    """A combining mark, a variation selector, a skin tone: part of the character before."""
    return unicodedata.category(character)[0] == "M" or "\U0001f3fb" <= character <= "\U0001f3ff"


@lru_cache(maxsize=4096)
def _is_letter(character: str) -> bool:
    if unspaced().match(character):
        return False
    return character.isalnum() or character == "_" or _is_mark(character)


def word_start(text: str, position: int, latest: int) -> int:
    """The first beginning of a word from ``position`` on, or ``position`` when there is none before ``latest``."""
    if position == 0 or text[position - 1].isspace():
        return position
    found = re.compile(r"\s+(?=\S)").search(text, position, min(len(text), latest + 1))
    return found.end() if found and found.end() <= latest else position


def word_end(text: str, position: int, earliest: int) -> int:
    """The last end of a word up to ``position``, or ``position`` when there is none behind ``earliest``."""
    if position >= len(text) or text[position].isspace():
        return position
    while position > earliest and not text[position - 1].isspace():
        position -= 1
    while position > earliest and text[position - 1].isspace():
        position -= 1
    return position
