"""Questions made of titles and of spans of text."""

import pytest
from recipe import questions
from recipe.pins import LANGUAGES

TEXT = "Der Mars, der vierte Planet der Sonne, hat zwei kleine Monde. Kurz."


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_asks_in_all_its_forms_and_the_same_each_time(language: str) -> None:
    titles = [f"title {n}" for n in range(100)]
    asked = [questions.of_title(language, title) for title in titles]
    assert asked == [questions.of_title(language, title) for title in titles]
    assert all(title in question for title, question in zip(titles, asked, strict=True))
    assert len({q.replace(t, "{}") for t, q in zip(titles, asked, strict=True)}) == len(questions.TITLES[language])


def test_a_span_is_consecutive_words_of_one_clause() -> None:
    clause = "der vierte Planet der Sonne, hat zwei kleine Monde"
    for n in range(50):
        question = questions.of_text("de", f"{TEXT} {n}")
        assert question is not None
        words = question.removesuffix("?").split()
        span = " ".join(words if " ".join(words) in TEXT else words[1:]).removeprefix("viele ")
        assert span in TEXT or span in clause
        assert questions.SPAN[0] <= len(span.split()) <= questions.SPAN[1]


def test_a_text_without_a_clause_asks_nothing() -> None:
    assert questions.of_text("de", "Kurz. Sehr kurz.") is None
