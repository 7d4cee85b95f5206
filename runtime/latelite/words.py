"""Words of a text for lexical search: their spans, and their first letters.

A word is a run of letters, digits and combining marks, in a script that is written with spaces. Its term is its first
`LETTERS` letters without case and accents, because most inflections change the end of a word, and people leave out
accents when they type. Words with a digit are not inflected; their term is the whole word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

LETTERS = 5

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts written without spaces, as the inside of a character class: Thai to Lao, Burmese, Khmer, kana, Han. They have
no word boundaries to go by; only the tokenizer's subwords are terms of such texts."""

_PLAIN = re.compile(r"[^\W_]+")
_MAY_BE_MARKS = re.compile("[^\x00-\u02ff\u2000-\u20cf]")
"""Combining marks and unspaced scripts among others. (Said by what it is not: that compiles in .3 instead of 8 ms.)"""
_ACCENTS = re.compile("[\u0300-\u036f]+")
_DIGIT = re.compile(r"\d")


def words(text: str) -> list[str]:
    """The words of a well-formed text, unchanged."""
    return _pattern(text).findall(text)


def word_spans(text: str) -> list[tuple[int, int]]:
    """The spans of the words in a well-formed text."""
    return [match.span() for match in _pattern(text).finditer(text)]


def folded(words: Sequence[str]) -> list[str]:
    """Fold words: no case, no accents, and compatibility characters (full width, ligatures) decomposed."""
    if not words:
        return []
    joined = "\n".join(words)
    if joined.isascii():
        return joined.lower().split("\n")
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", joined.casefold()))
    return unicodedata.normalize("NFC", plain).split("\n")


def first_letters(folded_word: str) -> str:
    """The term of a folded word."""
    if len(folded_word) <= LETTERS or _DIGIT.search(folded_word):
        return folded_word
    return folded_word[:LETTERS]


@lru_cache(maxsize=1)
def unspaced() -> re.Pattern[str]:
    """A character of a script without spaces. Compiled when first needed: that takes 4 ms, and most texts have none."""
    return re.compile(f"[{UNSPACED}]")


def _pattern(text: str) -> re.Pattern[str]:
    return _with_marks() if not text.isascii() and _MAY_BE_MARKS.search(text) else _PLAIN


@lru_cache(maxsize=1)
def _with_marks() -> re.Pattern[str]:
    """A pattern with all combining marks, for which `re` has no class; built only if a text may have some."""
    points = [
        point
        for point in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0))
        if unicodedata.category(chr(point))[0] == "M" and not unspaced().match(chr(point))
    ]
    starts = [point for point, before in zip(points, [0, *points], strict=False) if point != before + 1]
    ends = [point for point, after in zip(points, [*points[1:], 0], strict=True) if point != after - 1]
    marks = "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))
    return re.compile(rf"[^\W_{UNSPACED}]+(?:[{marks}]+[^\W_{UNSPACED}]*)*")
