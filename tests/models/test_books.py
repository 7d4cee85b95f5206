"""Passages from handbooks, and their translations."""

import pytest
from recipe import books
from recipe.books import passages, read_sections

PARAGRAPHS = ["Der Mars ist der vierte Planet der Sonne.", "Er hat zwei kleine Monde, Phobos und Deimos."]
ENGLISH = ["Mars is the fourth planet from the Sun.", "It has two small moons, Phobos and Deimos."]


def page(title: str, paragraphs: list[str], tag: str = "p") -> str:
    heading = "h2" if tag == "p" else "title"
    body = "".join(f"<{tag}>{text}</{tag}>" for text in paragraphs)
    return f"<html><head><title>x</title></head><{heading}>{title}</{heading}>{body}</html>"


def test_sections_of_html_and_docbook_are_read_alike() -> None:
    html = read_sections(page("2.1. Der <b>Mars</b>", PARAGRAPHS))
    docbook = read_sections(f"<title>Der Mars</title><para>{PARAGRAPHS[0]}</para><para>{PARAGRAPHS[1]}</para>")
    assert html == docbook
    assert [(section.title, section.paragraphs) for section in html] == [("Der Mars", PARAGRAPHS)]


def test_entities_of_a_schema_become_their_names() -> None:
    assert books.plain("<para>Press &Ctrl;, then &lt;x&gt;</para>") == "Press Ctrl, then <x>"


def test_translations_are_cut_at_the_same_paragraphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "LONGEST_PASSAGE", 50)
    found = list(passages("mars", {"en": page("Mars", ENGLISH), "de": page("Der Mars", PARAGRAPHS)}))
    assert [(p.language, p.key, p.text) for p in found] == [
        ("en", "mars#0:0", ENGLISH[0]),
        ("en", "mars#0:1", ENGLISH[1]),
        ("de", "mars#0:0", PARAGRAPHS[0]),
        ("de", "mars#0:1", PARAGRAPHS[1]),
    ]


def test_a_translation_of_another_shape_stands_alone() -> None:
    found = list(passages("mars", {"en": page("Mars", ENGLISH), "de": page("Der Mars", PARAGRAPHS[:1])}))
    assert [p.key for p in found] == ["mars#0:0", "mars#0:0:de"]


def test_what_a_translation_left_in_english_is_dropped() -> None:
    versions = {"en": page("Mars", ENGLISH), "de": page("Mars", [PARAGRAPHS[0], ENGLISH[1]]), "nl": page("M", ENGLISH)}
    assert [(p.language, p.text) for p in passages("mars", versions) if p.language != "en"] == [("de", PARAGRAPHS[0])]
