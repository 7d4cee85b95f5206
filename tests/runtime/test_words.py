"""Words of a text in any language, and their terms."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latelite.words import UNSPACED, first_letters, folded, word_spans, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't (re-)use x_y, 12.5 km!", ["Don", "t", "re", "use", "x", "y", "12", "5", "km"]),
        ("e\u0301te\u0301 u\u0308ber", ["e\u0301te\u0301", "u\u0308ber"]),
        ("हिन्दी में, العَرَبِيَّة", ["हिन्दी", "में", "العَرَبِيَّة"]),
        ("日本語 ไทย 한국어 Привет", ["한국어", "Привет"]),
        ("co2 \U0001f600\u200d 𝟘𝟙x", ["co2", "𝟘𝟙x"]),
        ("\u0301 \u0301a", ["a"]),
        ("", []),
    ],
)
def test_a_word_is_letters_digits_and_their_marks(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Straße", "strasse"),
        ("ÉTÉ", "ete"),
        ("e\u0301te\u0301", "ete"),
        ("ＦＵＬＬ", "full"),
        ("ﬁne", "fine"),
        ("हिन्दी", "हिन्दी"),
        ("한국어", "한국어"),
        ("ĳs", "ijs"),
    ],
)
def test_folding_drops_case_and_accents(word: str, expected: str) -> None:
    assert folded([word, "X"]) == [expected, "x"]


def test_first_letters_are_cut_from_words_and_not_from_numbers() -> None:
    assert [first_letters(word) for word in ("a", "delete", "verzeichnis", "1234567", "rfc7231bis")] == [
        "a",
        "delet",
        "verze",
        "1234567",
        "rfc7231bis",
    ]


def test_every_letter_digit_and_mark_is_known() -> None:
    unspaced = re.compile(f"[{UNSPACED}]")
    for character in map(chr, range(sys.maxunicode + 1)):
        kind = unicodedata.category(character)[0]
        spaced = not unspaced.match(character)
        assert bool(words(character)) == (spaced and kind in "LN"), hex(ord(character))
        assert (words(f"a{character}") == [f"a{character}"]) == (spaced and kind in "LNM"), hex(ord(character))


@given(st.text(alphabet=st.characters() | st.sampled_from("ßİﬁ \n_e\u0301")))
def test_spans_and_words_agree(text: str) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words(text)


@given(st.lists(st.text(alphabet=st.characters(categories=("L", "N", "M")), min_size=1), max_size=5))
def test_words_are_folded_together_as_one_by_one(some: list[str]) -> None:
    assert folded(some) == [folded([each])[0] for each in some]
