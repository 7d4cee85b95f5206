"""Which words of parallel text stand for each other."""

import json
from pathlib import Path

import pytest
from recipe import general
from recipe.examples import Document, write_documents
from recipe.translations import add_terms, align, build_translations, tables

PAIRS = [
    ("the house is big", "das Haus ist groß"), ("the house is old", "das Haus ist alt"),
    ("the tree is big", "der Baum ist groß"), ("a tree and a house", "ein Baum und ein Haus"),
    ("the old tree", "der alte Baum"), ("my house", "mein Haus"), ("my tree", "mein Baum"),
]  # fmt: skip


def test_words_that_explain_each_other_are_translations() -> None:
    found = align([(english.lower().split(), german.lower().split()) for english, german in PAIRS])
    assert max(found["house"], key=found["house"].__getitem__) == "haus"
    assert max(found["tree"], key=found["tree"].__getitem__) == "baum"
    assert align([]) == {}


def test_tables_go_both_ways_the_likeliest_first_without_the_word_itself() -> None:
    out, back = tables({"bank": {"bank": 0.9, "ufer": 0.3, "geldhaus": 0.5}, "shore": {"ufer": 0.6}})
    assert out == {"bank": ["geldhaus", "ufer"], "shore": ["ufer"]}
    assert back["ufer"] == ["shore", "bank"]


def test_a_lexicon_adds_behind_what_parallel_text_has() -> None:
    written = {"en-de": {"house": ["haus"]}, "de-en": {}}
    add_terms(written, [{"en": ["House", "dwelling"], "de": ["Wohnhaus"]}, {"es": ["casa"], "de": ["Haus"]}])
    assert written["en-de"] == {"house": ["haus", "Wohnhaus"], "dwelling": ["Wohnhaus"]}
    assert written["de-en"] == {"wohnhaus": ["House"]}


def test_the_stage_reads_documents_that_are_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(general, "TERMS", ())
    rows = [
        Document("story", str(n), "en", english, (), (("de", german, english),), held_out)
        for held_out in (False, True)
        for n, (english, german) in enumerate(PAIRS * (5 if held_out else 1))
    ]
    write_documents(rows, tmp_path)
    build_translations(tmp_path, tmp_path, tmp_path)
    written = json.loads((tmp_path / "translations.json").read_text())
    assert written["en-de"]["house"][0] == "haus"
    assert set(written) == {f"{a}-{b}" for o in ("de", "es", "fr", "it", "nl", "pt") for a, b in ((o, "en"), ("en", o))}
