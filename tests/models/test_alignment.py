"""Words of parallel texts: model 1 on texts whose words translate each other."""

import random
from pathlib import Path

import numpy as np
import pytest
from recipe import alignment, corpus
from recipe.alignment import align, cells, lemmas, parallel_texts, tables, translation
from recipe.lexicon import Forms
from recipe.pages import Page

PAIRS = {"delete": "löschen", "file": "datei", "house": "haus", "sort": "sortieren", "list": "liste", "new": "neu"}
USED = {
    "de": ["löschen", "lösche", "löscht", "datei", "dateien", "haus"],
    "en": ["delete", "deletes", "file", "files", "house"],
}


def texts(count: int, seed: int = 0) -> list[tuple[list[str], list[str]]]:
    """Random words beside their translations, in another order."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        words = draw.sample(sorted(PAIRS), 3)
        others = [PAIRS[word] for word in words]
        draw.shuffle(others)
        found.append((["the", *words], others))
    return found


def test_words_that_translate_each_other_are_found_among_all_that_meet() -> None:
    found = align(texts(200))
    assert {word: max(likely, key=likely.__getitem__) for word, likely in found.items() if word != "the"} == PAIRS
    assert all(sum(likely.values()) <= 1 + 1e-9 for likely in found.values())


def test_a_words_translations_are_a_distribution() -> None:
    found, english, others = cells(texts(50))
    assert (len(english), len(others)) == (7, 6)
    for given in range(2):
        sums = np.bincount(found.words[given], translation(found, given))
        np.testing.assert_allclose(sums, 1.0)


def test_what_meets_too_seldom_is_left_out() -> None:
    assert align([(["rare"], ["selten"])] * (alignment.LEAST - 1)) == {}
    assert align([(["rare"], ["selten"])] * alignment.LEAST) == {"rare": {"selten": pytest.approx(1.0)}}


def test_only_short_texts_and_titles_are_aligned_and_untranslated_ones_are_not() -> None:
    pages = [
        Page("segments", "a", "en", "Delete the file"),
        Page("segments", "a", "de", "Die Datei löschen"),
        Page("segments", "b", "en", "OK"),
        Page("segments", "b", "de", "OK"),
        Page("manuals", "rm", "en", "A long description", ("remove files", "rm: remove files")),
        Page("manuals", "rm", "de", "Eine lange Beschreibung", ("Dateien entfernen",)),
        Page("abstracts", "c", "en", "Not translated", ("Title",)),
    ]
    found = parallel_texts(pages)
    assert found["de"] == [("Delete the file", "Die Datei löschen"), ("remove files", "Dateien entfernen")]
    assert found["nl"] == []


@pytest.fixture
def forms(monkeypatch: pytest.MonkeyPatch) -> dict[str, Forms]:
    monkeypatch.setattr(corpus, "word_frequencies", lambda _, language: ((word, 0.1) for word in USED[language]))
    return {language: Forms(Path("words"), language) for language in USED}


def test_every_form_of_an_aligned_lemma_is_translated(forms: dict[str, Forms]) -> None:
    out, back = tables({"delete": {"löschen": 0.8}, "file": {"datei": 0.9}}, forms["en"], forms["de"])
    assert out["deletes"] == out["delete"] == ["löschen", "lösche"]
    assert out["files"] == ["Datei", "Dateien"]
    assert back["löscht"] == ["delete", "deletes"]
    assert "house" not in out


def test_a_text_that_is_too_long_has_no_lemmas(forms: dict[str, Forms]) -> None:
    assert lemmas(forms["de"], "2 Dateien löscht!") == ["datei", "löschen"]
    assert lemmas(forms["de"], "Haus " * (alignment.LONGEST + 1)) == []
