"""Words in the place of others."""

import numpy as np
import pytest
from recipe.switching import Switcher

TABLES = {
    "en-de": {"house": ["Haus"], "standard deviation": ["Standardabweichung"], "standard": ["Norm"]},
    "de-en": {"haus": ["house"]},
    "en-es": {"house": ["casa", "vivienda"]},
}


@pytest.fixture
def switcher() -> Switcher:
    return Switcher(TABLES)


def switched(switcher: Switcher, text: str, source: str, target: str, share: float = 1.0) -> str:
    return switcher.switch(np.random.default_rng(0), text, source, target, share)


def test_the_longest_known_phrase_is_replaced_and_everything_else_stays(switcher: Switcher) -> None:
    assert switched(switcher, "A house, the standard deviation!", "en", "de") == "A Haus, the Standardabweichung!"


def test_two_other_languages_meet_in_english(switcher: Switcher) -> None:
    draw = np.random.default_rng(0)
    found = [switcher.translate(draw, "haus", "de", "es") for _ in range(50)]
    assert set(found) == {"casa", "vivienda"}
    assert found.count("casa") > found.count("vivienda")
    assert switcher.translate(draw, "hütte", "de", "es") is None


def test_a_capital_stays_a_capital_and_a_share_of_nothing_changes_nothing(switcher: Switcher) -> None:
    assert switched(switcher, "House of cards", "en", "es").startswith(("Casa", "Viv"))
    assert switched(switcher, "House of cards", "en", "es", share=0.0) == "House of cards"
