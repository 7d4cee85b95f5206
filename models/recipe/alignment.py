"""Stage *alignment*: which words translate each other in parallel text.

IBM model 1 (Brown et al., 1993: "The mathematics of statistical machine translation") over lemmas, in both
directions; what both find likely is kept. Dictionaries know "delete" as "herausstreichen": this knows "löschen".
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recipe.lexicon import WORD, Forms, Table
from recipe.pages import Page
from recipe.phrases import colonies, phrases
from recipe.pins import LANGUAGES
from recipe.sources import all_pages

logger = logging.getLogger(__name__)

TEXTS = ("segments", "stories", "messages", "phrases", "colonies")
"""Sources whose texts are short enough to align."""
TITLES = ("packages", "manuals", "desktop", "handbooks", "applications")
"""Sources of which the first query is aligned: a title or a summary."""
LONGEST = 40
"""Words of a text that is aligned."""
ROUNDS = 6
LEAST = 3
"""Texts that a pair of words has in common, at least."""
LIKELY = 0.2
"""Least probability of a translation, as the mean (geometric) of both directions."""
LEMMAS = 2
FORMS = 2
"""Translations kept of a word, and forms of each."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """Every pair of an English word and another in the same pair of texts."""

    words: tuple[Ints, Ints]
    """The word of each side, per different pair."""
    pair: Ints
    """Which different pair a cell is."""
    places: tuple[Ints, Ints]
    """The place of each side's word, counted over all texts, per cell."""


def parallel_texts(pages: Iterable[Page]) -> dict[str, list[tuple[str, str]]]:
    """Short texts in English beside those in each other language."""
    versions: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for page in pages:
        if page.source in TEXTS:
            versions[page.source, page.key][page.language] = page.text
        elif page.source in TITLES and page.queries:
            versions[page.source, page.key][page.language] = page.queries[0]
    found: dict[str, list[tuple[str, str]]] = {language: [] for language in LANGUAGES if language != "en"}
    for texts in versions.values():
        for language, text in texts.items():
            if language != "en" and "en" in texts and text != texts["en"]:
                found[language].append((texts["en"], text))
    return {language: list(dict.fromkeys(pairs)) for language, pairs in found.items()}


def lemmas(forms: Forms, text: str) -> list[str]:
    """Lemmas of a text's words in lower case; none of a text that is too long."""
    words = WORD.findall(text)
    return [forms.lemma(word).lower() for word in words] if len(words) <= LONGEST else []


def cells(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> tuple[Cells, list[str], list[str]]:
    """The cells of all pairs of texts, and the words of each side by number."""
    known: tuple[dict[str, int], dict[str, int]] = ({}, {})
    codes, places = [], ([], [])
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
    words = different >> 32, different & 0xFFFFFFFF
    return Cells(words, pair, (np.concatenate(places[0]), np.concatenate(places[1]))), list(known[0]), list(known[1])


def translation(found: Cells, given: int) -> Floats:
    """Probability of each different pair's other word, given the word of one side, ``(different pairs,)``.

    Each word of the other side is explained by the given side's words in the same text, in proportion to their
    probabilities; these follow anew from the explanations, ``ROUNDS`` times.
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
    """English word -> the other language's words, with the geometric mean of both directions' probabilities."""
    found, english, others = cells(pairs)
    mean = np.sqrt(translation(found, 0) * translation(found, 1))
    common = np.bincount(found.pair)
    result: dict[str, dict[str, float]] = defaultdict(dict)
    for at in np.flatnonzero((mean >= LIKELY) & (common >= LEAST)):
        result[english[found.words[0][at]]][others[found.words[1][at]]] = float(mean[at])
    return result


def tables(found: dict[str, dict[str, float]], english: Forms, other: Forms) -> tuple[Table, Table]:
    """Translations of every form in use, from English and back: the likeliest lemmas in their most frequent forms."""
    back: dict[str, dict[str, float]] = defaultdict(dict)
    for word, likely in found.items():
        for text, probability in likely.items():
            back[text][word] = probability
    return spread(found, english, other), spread(back, other, english)


def spread(found: dict[str, dict[str, float]], source: Forms, target: Forms) -> Table:
    table: Table = {}
    for form in source.words:
        likely = found.get(form) or found.get(source.lemma(form).lower())
        if likely:
            best = sorted(likely, key=lambda word: -likely[word])[:LEMMAS]
            texts = [target.written(text) for lemma in best for text in target.inflected(lemma)[:FORMS]]
            if kept := [text for text in dict.fromkeys(texts) if text.lower() != form]:
                table[form] = kept
    return table


def build_alignment(texts: Path, data: Path, packages: Path, words: Path, folder: Path) -> None:
    """Write ``alignment.json``, tables as in ``lexicon.json``."""
    forms = {language: Forms(words, language) for language in LANGUAGES}
    written: dict[str, Table] = {}
    pages = chain(all_pages(texts, data, packages), phrases(packages), colonies(packages))
    for language, pairs in parallel_texts(pages).items():
        read = [(lemmas(forms["en"], one), lemmas(forms[language], other)) for one, other in pairs]
        found = align([pair for pair in read if all(pair)])
        out, back = tables(found, forms["en"], forms[language])
        written |= {f"en-{language}": out, f"{language}-en": back}
        logger.info("alignment: en-%s %d texts, %d and %d words", language, len(read), len(out), len(back))
    (folder / "alignment.json").write_text(json.dumps(written, ensure_ascii=False) + "\n", encoding="utf-8")
