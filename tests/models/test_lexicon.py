"""Which words stand for each other: dictionaries in both directions, forms in use, the teacher's order."""

from pathlib import Path

import numpy as np
import pytest
from recipe import corpus
from recipe.lexicon import Forms, both_directions, candidates, centred, neighbours, ordered

USED = {
    "de": ["haus", "häuser", "jahrhundert", "starb", "sterben", "computer"],
    "en": ["house", "houses", "died", "die", "dies", "century", "computer"],
}


@pytest.fixture(autouse=True)
def used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "word_frequencies", lambda _, language: ((word, 0.1) for word in USED[language]))


def forms(language: str) -> Forms:
    return Forms(Path("words"), language)


def test_a_dictionary_is_read_in_both_directions() -> None:
    found = both_directions([("House", ["Haus", "Bau"])], [("Haus", ["house", "home"])])
    assert found == {"house": {"Haus", "Bau"}, "home": {"Haus"}}


def test_every_form_in_use_is_offered_and_nothing_else() -> None:
    entries = {"house": {"Haus", "Gebäude"}, "die": {"sterben"}, "computer": {"Computer"}}
    found = candidates(forms("en"), forms("de"), entries)
    assert found["house"] == found["houses"] == ["Haus", "Häuser"]
    assert found["died"] == ["starb", "sterben"]
    assert "computer" not in found


def test_phrases_are_offered_where_all_their_words_are_in_use() -> None:
    entries = {"century house": {"Haus"}, "standard deviation": {"Jahrhundert"}}
    found = candidates(forms("en"), forms("de"), entries)
    assert found["century house"] == ["Haus", "Häuser"]
    assert "standard deviation" not in found


def unit(*values: float) -> np.ndarray:
    return np.array(values, np.float32) / np.linalg.norm(values)


def test_neighbours_are_mutual_close_and_words_of_one_language() -> None:
    ours = {"house": unit(1, 0.1), "houses": unit(1, 0.4), "died": unit(0, 1), "die": unit(-1, 0), "dies": unit(-1, 1)}
    ours |= {"century": unit(-1, -1), "computer": unit(1, 0)}
    theirs = {"haus": unit(1, 0), "Häuser": unit(0, -1), "Jahrhundert": unit(-1, -0.8), "starb": unit(0.1, 1)}
    theirs |= {"sterben": unit(-0.2, -1), "Computer": unit(1, 0)}
    found = neighbours(forms("en"), forms("de"), ours, theirs)
    assert found == [("house", "haus"), ("died", "starb"), ("century", "Jahrhundert")]


def test_the_closest_offers_stay_the_best_first() -> None:
    theirs = {"Haus": unit(1, 0), "Geschlecht": unit(0, 1), "Bau": unit(1, 0.3)}
    found = ordered({"house": ["Bau", "Geschlecht", "Haus"]}, {"house": unit(1, 0)}, theirs)
    assert found == {"house": ["Haus", "Bau"]}


def test_what_is_common_to_a_language_is_taken_away() -> None:
    found = centred(np.array([[3.0, 1.0], [3.0, -1.0]], np.float32))
    np.testing.assert_allclose(found, [[0, 1], [0, -1]], atol=1e-6)
