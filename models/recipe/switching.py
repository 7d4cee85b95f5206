"""Texts with words replaced by translations, each token tied to the token that it stands for.

The teacher has read the original; what it made of a word is what the student is to make of the word's translation, in
the same place. So one cached text gives targets for texts in mixed languages that the teacher never saw.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from recipe.lexicon import LONGEST_PHRASE, WORD
from recipe.teacher import covering

CHOICES = (0.65, 0.85, 0.95, 1.0)
"""Below which draw the best translation is taken, below which the second, and so on."""

ALIGNED = 3
"""Translations that parallel text may give a word: one place is left for a dictionary's."""

INFLECTED = 0.4
"""How often a translation is put into another form of the same word."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """A run of the new text, and the run of the original that it stands for."""

    text: str
    old: Span
    kept: bool


def _read(path: Path) -> dict[str, dict[str, list[str]]]:
    tables: dict[str, dict[str, list[str]]] = json.loads(path.read_text(encoding="utf-8"))
    return tables


class Lexicon:
    """Translations of words and short phrases between any two of the languages, by way of English."""

    def __init__(self, lexicon: Path, alignment: Path | None = None, inflections: Path | None = None) -> None:
        """Tables of the stages of these names; what parallel text aligns comes before what dictionaries say."""
        self.forms: dict[str, dict[str, list[str]]] = _read(inflections / "inflections.json") if inflections else {}
        self.tables: dict[str, dict[str, list[str]]] = _read(lexicon / "lexicon.json")
        for name, aligned in (_read(alignment / "alignment.json") if alignment else {}).items():
            known = self.tables[name]
            for word, texts in aligned.items():
                known[word] = list(dict.fromkeys([*texts[:ALIGNED], *known.get(word, ())]))[: len(CHOICES)]

    def translate(self, draw: np.random.Generator, word: str, source: str, target: str) -> str | None:
        """A translation of a word or phrase in lower case; ``None`` where there is none."""
        if "en" in (source, target):
            found = self._one(draw, word, f"{source}-{target}")
        else:
            middle = self._one(draw, word, f"{source}-en")
            found = middle and self._one(draw, middle.lower(), f"en-{target}")
        return found and self._inflect(draw, found, target)

    def _inflect(self, draw: np.random.Generator, text: str, language: str) -> str:
        if language not in self.forms or draw.random() >= INFLECTED:
            return text
        others = self.forms[language].get(text.lower())
        return others[int(draw.integers(len(others)))] if others else text

    def _one(self, draw: np.random.Generator, word: str, table: str) -> str | None:
        found = self.tables[table].get(word)
        if not found:
            return None
        drawn = draw.random() * CHOICES[len(found) - 1]
        return next(text for text, share in zip(found, CHOICES, strict=False) if drawn < share)

    def switch(self, draw: np.random.Generator, text: str, source: str, target: str, share: float) -> Iterator[Piece]:
        """The text in order, about ``share`` of its words translated where the lexicon knows them."""
        words = [match.span() for match in WORD.finditer(text)]
        wanted = (draw.random(len(words)) < share).tolist()
        at = number = 0
        while number < len(words):
            count, replacement = 1, None
            if wanted[number]:
                for count in range(min(LONGEST_PHRASE, len(words) - number), 0, -1):
                    start, end = words[number][0], words[number + count - 1][1]
                    replacement = self.translate(draw, text[start:end].lower(), source, target)
                    if replacement:
                        break
            start, end = words[number][0], words[number + count - 1][1]
            if replacement:
                if start > at:
                    yield Piece(text[at:start], (at, start), kept=True)
                if text[start].isupper():
                    replacement = replacement[0].upper() + replacement[1:]
                yield Piece(replacement, (start, end), kept=False)
                at = end
            number += count
        if at < len(text):
            yield Piece(text[at:], (at, len(text)), kept=True)


def origins(pieces: Sequence[Piece], spans: Sequence[Span]) -> list[Span]:
    """Where in the original the characters of each span of the new text come from.

    Inside a kept run characters map one to one, inside a replaced one by their share of its length.
    """
    starts = list(accumulate((len(piece.text) for piece in pieces), initial=0))

    def place(at: int, last: bool) -> int:
        """The original's place of a character; ``last`` for an end, which belongs to the run before it."""
        number = (bisect_left if last else bisect_right)(starts, at, 1, len(pieces)) - 1
        piece, inside = pieces[number], at - starts[number]
        start, end = piece.old
        if piece.kept:
            return start + inside
        length = len(piece.text)
        return start + (inside * (end - start) + (length - 1 if last else 0)) // length

    found = []
    for start, end in spans:
        first = place(start, last=False)
        found.append((first, max(place(end, last=True), first + 1)))
    return found


class Switcher:
    """Makes mixed versions of cached texts."""

    def __init__(self, tokenizer: Tokenizer, lexicon: Lexicon) -> None:
        self.tokenizer, self.lexicon = tokenizer, lexicon

    def row(
        self, draw: np.random.Generator, text: str, ids: NDArray[np.int64], match: NDArray[np.int64],
        source: str, target: str, share: float,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
        """Student ids of a mixed version, and the teacher's token of each; ``ids`` and ``match`` are the original's."""
        known = self.tokenizer.encode(text, add_special_tokens=False).offsets[: len(ids) - 3]
        if not known:
            return ids, match
        pieces = list(self.lexicon.switch(draw, text[: known[-1][1]], source, target, share))
        encoded = self.tokenizer.encode("".join(piece.text for piece in pieces), add_special_tokens=False)
        covered = covering(origins(pieces, encoded.offsets), known)
        inner = np.array(encoded.ids, np.int64), match[2:-1][covered]
        return np.r_[ids[:2], inner[0], ids[-1:]], np.r_[match[:2], inner[1], match[-1:]]
