"""Explanations: spans of the matched words in a document, in code points of the original text."""

from __future__ import annotations

import re
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latelite.explain import Answer, Match, Question, best_snippet, explain
from latelite.terms import Terms


def words(text: str) -> np.ndarray:
    """(words, 2) spans."""
    return np.array([m.span() for m in re.finditer(r"[^\W_]+|[^\w\s]+", text)], np.int64).reshape(-1, 2)


def vector(word: str) -> np.ndarray:
    """Equal words have equal vectors, different words nearly orthogonal ones."""
    drawn = np.random.default_rng(zlib.crc32(word.casefold().encode("utf-8", "surrogatepass"))).standard_normal(64)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def terms(text: str, numbers: dict[str, int]) -> Terms:
    spans = words(text)
    ids = [numbers.setdefault(text[start:end].casefold(), len(numbers)) for start, end in spans.tolist()]
    return Terms(np.array(ids, np.int32), spans)


def explained(
    query: str, text: str, *, read: int | None = None, clusters: list[int] | None = None, common: tuple[str, ...] = ()
) -> list[tuple[str, str, float]]:
    """(query word, part of the text, score) of an explanation; ``read`` tokens of the document are encoded."""
    numbers: dict[str, int] = {}
    asked, stored = words(query), words(text)[:read]
    question_terms = terms(query, numbers)
    special = np.full((1, 2), -1)
    question = Question(
        text=query,
        vectors=np.stack([vector("[CLS]"), *(vector(query[a:b]) for a, b in asked.tolist())]),
        spans=np.concatenate([special, asked]),
        terms=question_terms,
        common=np.array([query[a:b] in common for a, b in question_terms.spans.tolist()], np.bool_),
    )
    tokens = np.stack([vector("[CLS]"), *(vector(text[a:b]) for a, b in stored.tolist())])
    assigned = np.arange(len(tokens)) if clusters is None else np.array(clusters)
    vectors = np.stack([tokens[assigned == c].mean(axis=0) for c in range(assigned.max() + 1)])
    answer = Answer(text, vectors, np.concatenate([special, stored]), assigned, terms(text, numbers))
    return [(m.query, text[m.start : m.end], m.score) for m in explain(question, answer)]


def test_the_words_of_the_query_are_found() -> None:
    found = explained("rye bread", "Bake bread from rye.")
    assert [(query, part) for query, part, _ in found] == [("bread", "bread"), ("rye", "rye")]
    assert all(score == pytest.approx(1, abs=1e-5) for _, _, score in found)


def test_punctuation_of_the_query_is_no_part_of_its_words() -> None:
    assert [query for query, _, _ in explained("Bread?", "bread")] == ["Bread"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("👩‍👩‍👧 Käse ist gut", "Käse"),
        ("e\u0301te\u0301 Käse\u0301", "Käse\u0301"),
        ("ßßß İİ ﬁ Käse", "Käse"),
        ("\ud83d\ude00 \udce9 Käse", "Käse"),
        ("𝒜𝒜 Käse", "Käse"),
    ],
)
def test_spans_count_code_points(text: str, part: str) -> None:
    found = explained("Käse", text)
    assert ("Käse", part) in [(query, shown) for query, shown, _ in found]


def test_what_the_encoder_has_not_read_is_found_by_its_words() -> None:
    text = "one two three " + "filler " * 30 + "needle"
    found = explained("needle", text, read=5)
    assert ("needle", "needle", 1.0) in found


def test_a_pooled_vector_is_explained_by_every_token_that_it_stands_for() -> None:
    found = explained("rye", "rye wheat salt", clusters=[0, 1, 1, 2])
    assert {part for query, part, _ in found if query == "rye"} == {"rye", "wheat"}


def test_words_that_most_documents_have_explain_nothing() -> None:
    found = explained("the bread", "the bread and the salt", common=("the",))
    assert {query for query, _, _ in found} == {"bread"}
    assert explained("the", "the bread", common=("the",)) != []  # nothing else was asked


def test_the_same_word_is_shown_at_some_places_not_at_thousands() -> None:
    found = explained("salt", "salt and bread " * 1000)
    assert 2 <= len(found) <= 9


def test_matches_come_in_the_order_of_the_text_without_repeats() -> None:
    found = explained("salt bread", "bread salt bread")
    assert [part for _, part, _ in found] == ["bread", "salt", "bread"]


@given(st.text(max_size=40), st.text(max_size=80))
def test_any_text_can_be_explained(query: str, text: str) -> None:
    if len(words(query)) and len(words(text)):
        for _, part, score in explained(query, text):
            assert part.strip() == part != ""
            assert -1.001 <= score <= 1


@given(
    st.text(alphabet="ab  \n.", max_size=300),
    st.lists(st.tuples(st.integers(0, 299), st.integers(1, 20), st.floats(0, 1)), max_size=6),
    st.integers(20, 200),
)
def test_a_snippet_is_short_and_inside(text: str, places: list[tuple[int, int, float]], length: int) -> None:
    matches = [
        Match(f"q{number}", start, min(start + size, len(text)), score)
        for number, (start, size, score) in enumerate(places)
        if start < len(text)
    ]
    start, end = best_snippet(text, matches, length)
    assert 0 <= start <= end <= len(text)
    assert end - start <= length


def test_the_snippet_holds_the_matches_and_whole_words() -> None:
    text = "filler words " * 40 + "here is the needle in the haystack " + "more filler " * 40
    place = text.index("needle")
    start, end = best_snippet(text, [Match("needle", place, place + 6, 0.9)], 60)
    assert "the needle in" in text[start:end]
    assert text[start - 1].isspace()
    assert text[end].isspace()
