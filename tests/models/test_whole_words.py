"""Words with a subword of their own: which, how they are read, and what their row is."""

import numpy as np
import pytest
from recipe.pins import LANGUAGES
from recipe.subwords import WORD_START
from recipe.whole_words import choose_words, meanings, rows, widen
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
LETTERS = "abcdefgh:"
SUBWORDS = [*((name, 0.0) for name in SPECIAL), ("▁", -3.0), ("▁ab", -4.0), *((letter, -5.0) for letter in LETTERS)]


def tokenizer(subwords: list[tuple[str, float]]) -> Tokenizer:
    made = Tokenizer(models.Unigram(subwords, unk_id=3))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return made


def empty() -> dict[str, dict[str, list[str]]]:
    return {"en-de": {}, **{f"{language}-en": {} for language in LANGUAGES if language != "en"}}


def test_words_with_a_translation_that_save_the_most_pieces_come_first_and_short_ones_not_at_all() -> None:
    use = {"abc": 0.5, "cdef": 0.3, "ghg": 0.2, "hhhh": 0.9, "cde": 0.1, "feg": 1e-9}
    tables = empty() | {"de-en": {word: ["x"] for word in use if word != "hhhh"}}
    # ▁ab c: two subwords; ▁ c d e f: five; ▁ g h g: four; ▁ c d e: four; hhhh has no translation; feg is rare.
    assert choose_words(tokenizer(SUBWORDS), use, tables) == {"cdef": ["x"], "ghg": ["x"], "cde": ["x"]}


def test_a_word_of_its_own_is_read_whole_and_begins_longer_ones() -> None:
    wide = Tokenizer.from_str(widen(tokenizer(SUBWORDS).to_str(), ["cdef"], {"cdef": 0.001, "gh": 0.999}))
    assert wide.encode("cdef abc cdefgh", add_special_tokens=False).tokens == ["▁cdef", "▁ab", "c", "▁cdef", "g", "h"]


def test_a_piece_keeps_its_row_and_a_word_has_those_of_what_it_means() -> None:
    narrow = tokenizer(SUBWORDS)
    table = np.random.default_rng(0).normal(size=(len(SUBWORDS), 4)).astype(np.float32)
    found = rows(narrow, ["c", WORD_START + "cd"], {"cd": ["ab", "e"], "c": ["h"]}, table)
    whole, start, letter = (narrow.token_to_id(subword) for subword in ("▁ab", "▁", "e"))
    assert found[0] == pytest.approx(table[narrow.token_to_id("c")])
    assert found[1] == pytest.approx((table[whole] + (table[start] + table[letter]) / 2) / 2)


def test_a_word_means_its_first_translation_in_each_language_and_nothing_if_it_is_english() -> None:
    tables = empty() | {"en-de": {"chat": ["Gespräch"]}}
    tables["de-en"]["gift"] = ["poison", "venom"]
    tables["it-en"]["gift"] = ["jaunt"]
    tables["fr-en"]["chat"] = ["cat"]
    assert meanings(tables, "Gift") == ["poison", "jaunt"]
    assert meanings(tables, "chat") == []
    assert meanings(tables, "xyz") == []
