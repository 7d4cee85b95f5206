"""Questions made from titles and spans."""

import numpy as np
import pytest

from latelite.mining import questions

LANGUAGES = tuple(questions.TITLES)
RUN = 10  # words that a text and an evaluation set may not share, see recipe.leaks
TEXT = "Der Mars, der vierte Planet der Sonne, hat zwei kleine Monde. Kurz."
CLAUSE = "der vierte Planet der Sonne, hat zwei kleine Monde"


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_asks_in_all_its_forms_and_the_same_for_the_same_draw(language: str) -> None:
    asked = [questions.of_title(draw(n), language, "title") for n in range(100)]
    assert asked == [questions.of_title(draw(n), language, "title") for n in range(100)]
    assert all("title" in question for question in asked)
    assert len(set(asked)) == len(questions.TITLES[language])


def test_a_span_is_consecutive_words_of_one_clause() -> None:
    for n in range(50):
        question = questions.of_span(draw(n), "de", TEXT)
        assert question is not None
        words = question.removesuffix("?").split()
        span = " ".join(words if " ".join(words) in TEXT else words[1:]).removeprefix("viele ")
        assert span in TEXT or span in CLAUSE
        assert questions.SPAN[0] <= len(span.split()) <= questions.SPAN[1] < RUN


def test_a_text_without_a_clause_asks_nothing() -> None:
    assert questions.of_span(draw(), "de", "Kurz. Sehr kurz.") is None


def test_keywords_are_long_words_of_one_sentence() -> None:
    for n in range(20):
        found = questions.keywords(draw(n), TEXT)
        if found is not None:  # the last sentence has no two
            assert set(found.split()) <= {"vierte", "Planet", "Sonne", "kleine", "Monde"}


def test_a_page_is_asked_for_in_several_ways_and_a_question_stays_as_it_is() -> None:
    asked = {questions.ask(draw(n), "de", TEXT, ("Mars",)) for n in range(60)}
    assert "Mars" in asked
    assert any("Mars" in question and question != "Mars" for question in asked)
    assert any("Planet" in question for question in asked)
    question = "Wie viele Monde hat der Mars?"
    assert not any(question in one and one != question for one in
                   (questions.ask(draw(n), "de", TEXT, (question,)) for n in range(60)))  # fmt: skip


def test_a_page_of_a_few_words_is_asked_for_by_them() -> None:
    assert questions.ask(draw(), "de", "Kurz. Sehr kurz.", ()) == "Kurz. Sehr kurz."
