"""Stage *lexicon*: which words of two languages stand for each other, English being one of the two.

Candidates are FreeDict's translations in both directions, in every inflected form that is in use, and words that are
each other's nearest neighbours for the teacher. The teacher also orders them: a dictionary's first sense is often not
the common one ("house" begins with the dynasty in German).
"""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import simplemma
from numpy.typing import NDArray

from recipe import corpus, debian, dictionaries
from recipe.pins import LANGUAGES
from recipe.teacher import Teacher

logger = logging.getLogger(__name__)

WORD = re.compile(r"[^\W\d_]+")
FORMS = 30_000
"""Words of a language, the most frequent ones."""
LONGEST_PHRASE = 3
"""Words of an entry."""
INFLECTIONS = 6
"""Forms of a candidate that are tried, the most frequent ones."""
KEPT = 4
MARGIN = 0.15
"""A translation stays when its cosine is at most this much below the best one's."""
NEIGHBOUR = 0.5
"""Least cosine of words that no dictionary pairs."""
BLOCK = 2_048

Vectors = NDArray[np.float32]
Table = dict[str, list[str]]


def key(text: str) -> str:
    return text.lower()


class Forms:
    """A language's words in use, and the forms of each lemma."""

    def __init__(self, words: Path, language: str, count: int = FORMS) -> None:
        self.language = language
        self.words = [word for word, _ in islice(corpus.word_frequencies(words, language), count) if word.isalpha()]
        self.ranks = {word: rank for rank, word in enumerate(self.words)}
        self._forms: dict[str, list[str]] = defaultdict(list)
        for word in self.words:
            self._forms[key(self.lemma(word))].append(word)

    def lemma(self, word: str) -> str:
        return str(simplemma.lemmatize(word, lang=self.language))

    def written(self, word: str) -> str:
        """A word in use as it is written: the list has small letters only, German nouns a capital."""
        return word.capitalize() if self.language == "de" and self.lemma(word)[0].isupper() else word

    def inflected(self, text: str, most: int = INFLECTIONS) -> list[str]:
        """The text itself, and for one word its ``most`` frequent other forms."""
        if not text.isalpha():
            return [text]
        forms = [form for form in self._forms[key(self.lemma(text))] if form != key(text)][:most]
        return [text, *map(self.written, forms)]

    def borrows(self, word: str, other: Forms) -> bool:
        """Whether another language uses the word more."""
        return word in other.ranks and other.ranks[word] < self.ranks[word]

    def holds(self, text: str) -> bool:
        """Whether every word is in use."""
        words = key(text).split()
        return 0 < len(words) <= LONGEST_PHRASE and all(word in self.ranks for word in words)


def both_directions(out: Iterable[tuple[str, list[str]]], back: Iterable[tuple[str, list[str]]]) -> dict[str, set[str]]:
    """Entries of one dictionary and the turned ones of its opposite, keys in lower case."""
    found: dict[str, set[str]] = defaultdict(set)
    for word, senses in out:
        found[key(word)].update(senses)
    for word, senses in back:
        for sense in senses:
            found[key(sense)].add(word)
    return found


def candidates(source: Forms, target: Forms, entries: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """For every form in use, and every phrase made of them, what the dictionaries offer."""
    found: dict[str, list[str]] = {}
    phrases = (entry for entry in entries if " " in entry and source.holds(entry))
    for form in [*source.words, *sorted(phrases)]:
        offered = set(entries.get(form, ()))
        if " " not in form:
            offered |= entries.get(key(source.lemma(form)), set())
        kept = {text for sense in offered if target.holds(sense) for text in target.inflected(sense)}
        if kept := {text for text in kept if key(text) != form}:
            found[form] = sorted(kept)
    return found


def encode(teacher: Teacher, texts: Sequence[str]) -> Vectors:
    """Mean of the teacher's token vectors ``(texts, hidden)``."""
    pieces = [encoding.ids[1:-1] for encoding in teacher.tokenizer.encode_batch(list(texts))]
    rows = [teacher.ids("query", part) for part in pieces]
    found: list[Vectors] = []
    for start in range(0, len(rows), 20_000):
        found += [vectors.mean(axis=0) for vectors in teacher.encode(rows[start : start + 20_000])]
        logger.info("lexicon: %d of %d texts", len(found), len(rows))
    return np.stack(found)


def centred(vectors: Vectors) -> Vectors:
    """What is common to a language is taken away: it hides the meaning."""
    moved = vectors - vectors.mean(axis=0)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def neighbours(
    source: Forms, target: Forms, ours: Mapping[str, Vectors], theirs: Mapping[str, Vectors]
) -> list[tuple[str, str]]:
    """Words that are each other's nearest, with a cosine of at least ``NEIGHBOUR``.

    A word in both lists is taken for one of the language that uses it more: each list holds words of the other.
    """
    left = [word for word in source.words if not source.borrows(word, target)]
    right = [target.written(word) for word in target.words if not target.borrows(word, source)]
    a, b = matrix(ours, left), matrix(theirs, right)
    best, value = np.empty(len(a), np.int64), np.empty(len(a), np.float32)
    back, high = np.zeros(len(b), np.int64), np.full(len(b), -np.inf, np.float32)
    for start in range(0, len(a), BLOCK):
        cosines = a[start : start + BLOCK] @ b.T
        best[start : start + BLOCK], value[start : start + BLOCK] = cosines.argmax(axis=1), cosines.max(axis=1)
        column, top = cosines.argmax(axis=0), cosines.max(axis=0)
        better = top > high
        back[better], high[better] = column[better] + start, top[better]
    return [(left[row], right[at]) for row, at in enumerate(best) if back[at] == row and value[row] >= NEIGHBOUR]


def ordered(offered: Mapping[str, Sequence[str]], ours: Mapping[str, Vectors], theirs: Mapping[str, Vectors]) -> Table:
    """The offers that the teacher finds closest, the best first."""
    found: Table = {}
    for form, texts in offered.items():
        cosines = np.stack([theirs[text] for text in texts]) @ ours[form]
        order = np.argsort(-cosines, kind="stable")[:KEPT]
        found[form] = [texts[i] for i in order if cosines[i] >= cosines[order[0]] - MARGIN]
    return found


def read_dictionaries(packages: Path, language: str) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Entries from English into the language, and back."""
    out, back = (
        list(dictionaries.package_translations(packages, package, debian.package_files))
        for package in (dictionaries.PACKAGES[language], dictionaries.BACK[language])
    )
    return both_directions(out, back), both_directions(back, out)


def build_lexicon(source: Path, words: Path, packages: Path, folder: Path) -> None:
    """Write ``lexicon.json``: ``{"en-de": {form: [translation, ...]}, "de-en": ...}``, keys in lower case."""
    teacher = Teacher(source)
    forms = {language: Forms(words, language) for language in LANGUAGES}
    offers: dict[tuple[str, str], dict[str, list[str]]] = {}
    for language in LANGUAGES:
        if language != "en":
            out, back = read_dictionaries(packages, language)
            offers["en", language] = candidates(forms["en"], forms[language], out)
            offers[language, "en"] = candidates(forms[language], forms["en"], back)
    vectors = {language: encode_all(teacher, forms[language], offers) for language in LANGUAGES}
    tables: dict[str, Table] = {}
    for (ours, theirs), offered in offers.items():
        added = 0
        for word, other in neighbours(forms[ours], forms[theirs], vectors[ours], vectors[theirs]):
            if word not in offered:  # spelling misleads the teacher: it takes "starb" for "starboard"
                offered[word] = [other]
                added += 1
        tables[f"{ours}-{theirs}"] = ordered(offered, vectors[ours], vectors[theirs])
        logger.info("lexicon: %s-%s %d entries, %d neighbours new", ours, theirs, len(offered), added)
    (folder / "lexicon.json").write_text(json.dumps(tables, ensure_ascii=False) + "\n", encoding="utf-8")


def encode_all(
    teacher: Teacher, forms: Forms, offers: Mapping[tuple[str, str], Mapping[str, Sequence[str]]]
) -> dict[str, Vectors]:
    """Centred vectors of a language's words, also as they are written, and of everything offered in it."""
    texts = dict.fromkeys([*forms.words, *map(forms.written, forms.words)])
    for (ours, theirs), offered in offers.items():
        if ours == forms.language:
            texts.update(dict.fromkeys(offered))
        if theirs == forms.language:
            texts.update(dict.fromkeys(text for found in offered.values() for text in found))
    return dict(zip(texts, centred(encode(teacher, list(texts))), strict=True))


def matrix(vectors: Mapping[str, Vectors], words: Sequence[str]) -> Vectors:
    return np.stack([vectors[word] for word in words])
