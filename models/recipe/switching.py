"""Code-switched queries: words replaced by translations.

The teacher reads the original, the student the code-switched version. The teacher's ranking in one language thus
teaches the meaning of words in other languages.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from recipe.translations import LONGEST_PHRASE, WORD, Table

CHOICES = (0.65, 0.85, 0.95, 1.0)
"""Cumulative probabilities of choosing the best translation, the second best, and so on."""


class Switcher:
    """Translates words and short phrases between any two of the languages, through English."""

    def __init__(self, tables: dict[str, Table]) -> None:
        self.tables = tables

    @classmethod
    def load(cls, folder: Path) -> Switcher:
        """Load the tables of the *translations* stage."""
        return cls(json.loads((folder / "translations.json").read_text(encoding="utf-8")))

    def translate(self, draw: np.random.Generator, word: str, source: str, target: str) -> str | None:
        """A translation of a lower-case word or phrase; ``None`` if there is none."""
        if "en" in (source, target):
            return self._one(draw, word, f"{source}-{target}")
        middle = self._one(draw, word, f"{source}-en")
        return middle and self._one(draw, middle.lower(), f"en-{target}")

    def _one(self, draw: np.random.Generator, word: str, table: str) -> str | None:
        found = self.tables[table].get(word)
        if not found:
            return None
        drawn = draw.random() * CHOICES[min(len(found), len(CHOICES)) - 1]
        return next(text for text, share in zip(found, CHOICES, strict=False) if drawn < share)

    def switch(self, draw: np.random.Generator, text: str, source: str, target: str, share: float) -> str:
        """The text with about ``share`` of its words translated, as far as translations are known."""
        spans = [match.span() for match in WORD.finditer(text)]
        wanted = (draw.random(len(spans)) < share).tolist()
        parts: list[str] = []
        at = number = 0
        while number < len(spans):
            count, replacement = 1, None
            if wanted[number]:
                for count in range(min(LONGEST_PHRASE, len(spans) - number), 0, -1):
                    start, end = spans[number][0], spans[number + count - 1][1]
                    replacement = self.translate(draw, text[start:end].lower(), source, target)
                    if replacement:
                        break
            start, end = spans[number][0], spans[number + count - 1][1]
            if replacement:
                if text[start].isupper():
                    replacement = replacement[0].upper() + replacement[1:]
                parts += [text[at:start], replacement]
                at = end
            number += count
        return "".join([*parts, text[at:]])
