"""Other forms of words."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from recipe import corpus
from recipe.inflections import inflections
from recipe.lexicon import Forms

WORDS = ["löschen", "verzeichnis", "gelöscht", "und", "verzeichnisse", "lösche"]


def test_frequent_words_have_their_rare_forms_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def frequencies(wheel: Path, language: str) -> Iterator[tuple[str, float]]:
        del wheel, language
        yield from ((word, 0.1) for word in WORDS)

    monkeypatch.setattr(corpus, "word_frequencies", frequencies)
    monkeypatch.setattr("recipe.inflections.FORMS", 3)
    assert inflections(Forms(Path("wheel"), "de")) == {
        "löschen": ["gelöscht", "lösche"],
        "gelöscht": ["löschen", "lösche"],
        "verzeichnis": ["Verzeichnisse"],
    }
