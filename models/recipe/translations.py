"""Stage *translations*: translations of words between English and the other languages.

Words are aligned in parallel text by IBM model 1 (Brown et al., 1993: "The mathematics of statistical machine
translation") in both directions; pairs that are likely in both are kept. Lexicons add words that parallel text lacks.
"""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recipe import general
from recipe.examples import read_documents
from recipe.pins import LANGUAGES

logger = logging.getLogger(__name__)

WORD = re.compile(r"[^\W\d_]+")
LONGEST = 40
"""Maximum words of an aligned text."""
ROUNDS = 6
LEAST = 3
"""Minimum number of texts in which a pair of words occurs."""
LIKELY = 0.2
"""Minimum probability of a translation (geometric mean of both directions)."""
KEPT = 4
"""Maximum translations per word, most likely first."""
LONGEST_PHRASE = 3
"""Maximum words of a lexicon entry."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Table = dict[str, list[str]]


@dataclass(frozen=True)
class Cells:
    """All co-occurrences of an English word and a foreign word in a pair of texts."""

    words: tuple[Ints, Ints]
    """Word on each side, per distinct pair of words."""
    pair: Ints
    """Index of the distinct pair, per cell."""
    places: tuple[Ints, Ints]
    """Position of the word on each side, counted over all texts, per cell."""


def words(text: str) -> list[str]:
    """A text's words in lower case; empty if the text is too long."""
    found = WORD.findall(text.lower())
    return found if len(found) <= LONGEST else []


def parallel_texts(examples: Path) -> dict[str, list[tuple[list[str], list[str]]]]:
    """Words of short English texts and of their translations, by the other language."""
    found: dict[str, list[tuple[list[str], list[str]]]] = {language: [] for language in LANGUAGES if language != "en"}
    for document in read_documents(examples):
        if document.language == "en" and not document.held_out:
            for language, text, english in document.foreign:
                pair = words(english), words(text)
                if all(pair) and pair[0] != pair[1]:
                    found[language].append(pair)
    return found


def cells(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> tuple[Cells, list[str], list[str]]:
    """The cells of all pairs of texts, and the words of each side by id."""
    known: tuple[dict[str, int], dict[str, int]] = ({}, {})
    codes: list[Any] = []
    places: tuple[list[Any], list[Any]] = ([], [])
    start = [0, 0]
    for texts in pairs:
        one, other = (
            np.array([table.setdefault(word, len(table)) for word in text], np.int64)
            for table, text in zip(known, texts, strict=True)
        )
        grid = np.broadcast_arrays(one[:, None] << 32 | other[None, :], *np.ogrid[: len(one), : len(other)])
        codes.append(grid[0].ravel())
        for side in range(2):
            places[side].append(grid[1 + side].ravel() + start[side])
            start[side] += len(texts[side])
    different, pair = np.unique(np.concatenate(codes), return_inverse=True)
    numbers = different >> 32, different & 0xFFFFFFFF
    return Cells(numbers, pair, (np.concatenate(places[0]), np.concatenate(places[1]))), list(known[0]), list(known[1])


def translation(found: Cells, given: int) -> Floats:
    """Translation probability of each distinct pair, given the word on side ``given``; ``(distinct pairs,)``.

    ``ROUNDS`` steps of expectation maximisation: each word of the other side is attributed to the given side's words in
    the same text in proportion to their probabilities, which are then re-estimated.
    """
    explained = found.places[1 - given]
    probability = np.ones(len(found.words[0]))
    for _ in range(ROUNDS):
        share = probability[found.pair]
        share /= np.bincount(explained, share)[explained]
        counts = np.bincount(found.pair, share, minlength=len(probability))
        probability = counts / np.bincount(found.words[given], counts)[found.words[given]]
    return probability


def align(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> dict[str, dict[str, float]]:
    """English word -> foreign word -> geometric mean of both directions' probabilities."""
    if not pairs:
        return {}
    found, english, others = cells(pairs)
    mean = np.sqrt(translation(found, 0) * translation(found, 1))
    common = np.bincount(found.pair)
    result: dict[str, dict[str, float]] = defaultdict(dict)
    for at in np.flatnonzero((mean >= LIKELY) & (common >= LEAST)):
        result[english[found.words[0][at]]][others[found.words[1][at]]] = float(mean[at])
    return result


def tables(found: dict[str, dict[str, float]]) -> tuple[Table, Table]:
    """Translations from and to English, most likely first, without words that both languages spell alike."""
    back: dict[str, dict[str, float]] = defaultdict(dict)
    for word, likely in found.items():
        for text, probability in likely.items():
            back[text][word] = probability

    def sort_table(table: dict[str, dict[str, float]]) -> Table:
        ranked = {word: sorted(likely, key=lambda text: -likely[text])[:KEPT] for word, likely in table.items()}
        return {word: kept for word, texts in ranked.items() if (kept := [text for text in texts if text != word])}

    return sort_table(found), sort_table(back)


def add_terms(written: dict[str, Table], entries: Iterable[dict[str, list[str]]]) -> None:
    """Append a lexicon's translations to those from parallel text."""
    for entry in entries:
        for language in set(entry) - {"en"} if "en" in entry else ():
            for source, target in (("en", language), (language, "en")):
                meant = entry[target][0]
                for text in entry[source]:
                    word = text.lower()
                    if len(word.split()) <= LONGEST_PHRASE and meant.lower() != word:
                        offered = written[f"{source}-{target}"].setdefault(word, [])
                        if len(offered) < KEPT and meant not in offered:
                            offered.append(meant)


def build_translations(examples: Path, texts: Path, folder: Path) -> None:
    """Write ``translations.json``: for English and each other language, word or phrase -> translations."""
    written: dict[str, Table] = {}
    for language, pairs in parallel_texts(examples).items():
        written[f"en-{language}"], written[f"{language}-en"] = tables(align(pairs))
        count = len(written[f"en-{language}"])
        logger.info("translations: en-%s aligned %d texts, %d words", language, len(pairs), count)
    add_terms(written, general.terms(texts))
    (folder / "translations.json").write_text(json.dumps(written, ensure_ascii=False) + "\n", encoding="utf-8")
