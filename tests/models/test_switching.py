"""Words in the place of others: what is replaced, and which original token each new one stands for."""

import json
from pathlib import Path

import numpy as np
import pytest
from recipe.switching import Lexicon, Piece, Switcher, origins
from tokenizers import Tokenizer, models, pre_tokenizers

TABLES = {
    "en-de": {"house": ["Haus"], "standard deviation": ["Standardabweichung"], "standard": ["Norm"]},
    "de-en": {"haus": ["house"]},
    "en-es": {"house": ["casa", "vivienda"]},
}


@pytest.fixture
def lexicon(tmp_path: Path) -> Lexicon:
    (tmp_path / "lexicon.json").write_text(json.dumps(TABLES))
    return Lexicon(tmp_path)


def switched(lexicon: Lexicon, text: str, source: str, target: str, share: float = 1.0) -> list[Piece]:
    return list(lexicon.switch(np.random.default_rng(0), text, source, target, share))


def test_the_longest_known_phrase_is_replaced_and_everything_else_stays(lexicon: Lexicon) -> None:
    pieces = switched(lexicon, "A house, the standard deviation!", "en", "de")
    assert "".join(piece.text for piece in pieces) == "A Haus, the Standardabweichung!"
    assert [piece.old for piece in pieces] == [(0, 2), (2, 7), (7, 13), (13, 31), (31, 32)]
    assert [piece.kept for piece in pieces] == [True, False, True, False, True]


def test_what_parallel_text_aligns_comes_before_the_dictionary(tmp_path: Path, lexicon: Lexicon) -> None:
    aligned = {name: {} for name in TABLES} | {"en-es": {"house": ["edificio", "casa"], "file": ["archivo"]}}
    (tmp_path / "alignment.json").write_text(json.dumps(aligned))
    both = Lexicon(tmp_path, tmp_path)
    assert both.tables["en-es"] == {"house": ["edificio", "casa", "vivienda"], "file": ["archivo"]}
    assert both.tables["en-de"] == lexicon.tables["en-de"]


def test_two_other_languages_meet_in_english(lexicon: Lexicon) -> None:
    draw = np.random.default_rng(0)
    found = [lexicon.translate(draw, "haus", "de", "es") for _ in range(50)]
    assert set(found) == {"casa", "vivienda"}
    assert found.count("casa") > found.count("vivienda")
    assert lexicon.translate(draw, "hütte", "de", "es") is None


def test_translations_come_in_rare_forms_too(tmp_path: Path, lexicon: Lexicon) -> None:
    (tmp_path / "inflections.json").write_text(json.dumps({"de": {"haus": ["Hauses", "Häuser"]}}))
    inflecting = Lexicon(tmp_path, inflections=tmp_path)
    draw = np.random.default_rng(0)
    found = [inflecting.translate(draw, "house", "en", "de") for _ in range(200)]
    assert set(found) == {"Haus", "Hauses", "Häuser"}
    assert 0.5 < found.count("Haus") / len(found) < 0.7
    assert inflecting.translate(draw, "house", "en", "es") in {"casa", "vivienda"}
    assert {lexicon.translate(draw, "house", "en", "de") for _ in range(50)} == {"Haus"}


def test_a_capital_stays_a_capital_and_a_share_of_nothing_changes_nothing(lexicon: Lexicon) -> None:
    assert "".join(piece.text for piece in switched(lexicon, "House of cards", "en", "es")).startswith(("Casa", "Viv"))
    assert switched(lexicon, "House of cards", "en", "es", share=0.0) == [Piece("House of cards", (0, 14), kept=True)]


def test_origins_map_kept_characters_one_to_one_and_replaced_ones_by_their_share() -> None:
    pieces = [Piece("A ", (0, 2), True), Piece("Haus", (2, 10), False), Piece(" x", (10, 12), True)]
    assert origins(pieces, [(0, 1), (2, 4), (4, 6), (2, 6), (7, 8)]) == [(0, 1), (2, 6), (6, 10), (2, 10), (11, 12)]


def test_each_new_token_takes_the_match_of_the_token_that_it_stands_for(lexicon: Lexicon) -> None:
    vocabulary = {"?": 0, "A": 1, "house": 2, "there": 3, "Haus": 4}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ids, match = np.array([90, 91, 1, 2, 3, 92]), np.array([0, 1, 5, 6, 8, 9])
    draw = np.random.default_rng(0)
    row = Switcher(tokenizer, lexicon).row(draw, "A house there", ids, match, "en", "de", 1.0)
    assert [part.tolist() for part in row] == [[90, 91, 1, 4, 3, 92], match.tolist()]


def test_a_text_that_was_cut_is_switched_no_further_than_it_was_read(lexicon: Lexicon) -> None:
    tokenizer = Tokenizer(models.WordLevel({"?": 0, "A": 1, "house": 2, "Haus": 4}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ids, match = np.array([90, 91, 1, 2, 92]), np.arange(5)
    row = Switcher(tokenizer, lexicon).row(np.random.default_rng(0), "A house house house", ids, match, "en", "de", 1.0)
    assert row[0].tolist() == [90, 91, 1, 4, 92]
