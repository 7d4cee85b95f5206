"""Words with a piece of their own: which, how they are read, and what their row and their teacher token are."""

import json
from pathlib import Path

import numpy as np
import pytest
from recipe import widening
from recipe.encoder import PREFIXES
from recipe.pieces import WORD_START
from recipe.pins import LANGUAGES
from recipe.switching import Lexicon
from recipe.teacher import Ragged
from recipe.widening import candidates, match, rows, translations, whole_words, widen, words_in_use
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
LETTERS = "abcdefgh:"
PIECES = [*((name, 0.0) for name in SPECIAL), ("▁", -3.0), ("▁ab", -4.0), *((letter, -5.0) for letter in LETTERS)]


def tokenizer(pieces: list[tuple[str, float]], added: tuple[str, ...] = ()) -> Tokenizer:
    made = Tokenizer(models.Unigram(pieces, unk_id=3))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    made.add_tokens(list(added))
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return made


def test_words_that_save_the_most_pieces_come_first_and_short_ones_not_at_all() -> None:
    use = {"abc": 0.5, "cdef": 0.3, "gh": 0.2, "ab": 0.9, "cde": 0.1}
    # ▁ab c: two pieces; ▁ c d e f: five; ▁ g h: three; ▁ab: one; ▁ c d e: four.
    assert candidates(tokenizer(PIECES), use) == ["cdef", "gh", "cde"]
    assert candidates(tokenizer(PIECES), use, 1) == ["cdef"]


def test_a_word_of_its_own_is_read_whole_and_begins_longer_ones() -> None:
    wide = Tokenizer.from_str(widen(tokenizer(PIECES).to_str(), ["cdef"], {"cdef": 0.001, "gh": 0.999}))
    assert wide.encode("cdef abc cdefgh", add_special_tokens=False).tokens == ["▁cdef", "▁ab", "c", "▁cdef", "g", "h"]


def test_a_piece_keeps_its_row_and_a_word_has_those_of_what_it_means() -> None:
    narrow = tokenizer(PIECES)
    table = np.random.default_rng(0).normal(size=(len(PIECES), 4)).astype(np.float32)
    found = rows(narrow, ["c", WORD_START + "cd"], {"cd": ["ab", "e"], "c": ["h"]}, table)
    whole, start, letter = (narrow.token_to_id(piece) for piece in ("▁ab", "▁", "e"))
    assert found[0] == pytest.approx(table[narrow.token_to_id("c")])
    assert found[1] == pytest.approx((table[whole] + (table[start] + table[letter]) / 2) / 2)


def test_a_word_means_its_first_translation_in_each_language_and_nothing_if_it_is_english(tmp_path: Path) -> None:
    tables: dict[str, dict[str, list[str]]] = {f"{language}-en": {} for language in LANGUAGES if language != "en"}
    tables |= {"en-de": {"chat": ["Gespräch"]}}
    tables["de-en"]["gift"] = ["poison", "venom"]
    tables["it-en"]["gift"] = ["jaunt"]
    tables["fr-en"]["chat"] = ["cat"]
    (tmp_path / "lexicon.json").write_text(json.dumps(tables))
    lexicon = Lexicon(tmp_path)
    assert translations(lexicon, "Gift") == ["poison", "jaunt"]
    assert translations(lexicon, "chat") == []
    assert translations(lexicon, "xyz") == []


def test_whole_words_are_frequent_ones_and_those_of_instructions(tmp_path: Path) -> None:
    tables: dict[str, dict[str, list[str]]] = {f"{language}-en": {} for language in LANGUAGES if language != "en"}
    tables |= {"en-de": {"fed": ["gefüttert"]}}
    tables["de-en"] = {"abc": ["one"], "cdef": ["two"], "feg": ["three"]}
    (tmp_path / "lexicon.json").write_text(json.dumps(tables))
    use = {"cdef": 1e-3, "abc": 1e-3, "feg": 1e-9, "hhh": 1e-3}
    instructed = {"ghg": "sweep", "abc": "say", "fed": "feed", "ab_c": "divide", "cdef": "call"}
    found = whole_words(tokenizer(PIECES), Lexicon(tmp_path), use, instructed)
    # abc is two pieces, feg rare, hhh without a translation, fed English, ab_c no word; an instruction's verb wins.
    assert found == {"cdef": ["call"], "ghg": ["sweep"]}


def test_texts_are_matched_to_the_cached_tokens_and_end_where_those_end() -> None:
    teacher = tokenizer([*PIECES, ("▁passage", -4.0), ("▁query", -4.0)])
    student = tokenizer([*PIECES, ("▁cdef", -6.0)], tuple(PREFIXES))
    texts = ["cdef gh", "cdef gh", ""]
    marks = 1 + len(teacher.encode("passage:", add_special_tokens=False).ids) + 1
    whole = marks + len(teacher.encode("cdef gh", add_special_tokens=False).ids)
    cached = Ragged.of([[0] * whole, [0] * (whole - 2), [0] * marks], np.int32)
    found = match(student, teacher, texts, np.array([False, False, False]), cached)
    tokens = [[student.id_to_token(number) for number in found["student"].row(text)] for text in range(3)]
    assert tokens[0] == ["<s>", "[D] ", "▁cdef", "▁", "g", "h", "</s>"]
    assert tokens[1] == ["<s>", "[D] ", "▁cdef", "▁", "</s>"]  # without the teacher's last two, g and h
    assert tokens[2] == ["<s>", "[D] ", "</s>"]
    # <s>, the prompt's first, then of "▁ c d e f ▁ g h": the first of those that cover a letter, then one each.
    start = marks - 1
    assert found["match"].row(0).tolist() == [0, 1, start, start + 5, start + 6, start + 7, whole - 1]
    assert found["match"].row(1).tolist()[-1] == whole - 3


def test_use_adds_up_lists_and_texts_with_sources_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widening, "LANGUAGES", ("de", "en"))
    monkeypatch.setattr(
        widening.corpus, "word_frequencies", lambda _, language: [(f"wort{'xy'[language == 'en']}", 1.0)]
    )
    texts = ["Haus haus Haus", "Baum", "house", "tree", "secret"]
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"role": "document", "text": text}) + "\n" for text in texts)
    )
    documents = [
        {"text": number, "source": source, "language": language, "held_out": text == "secret", "queries": []}
        for number, (text, source, language) in enumerate(
            zip(
                texts,
                ("office", "stories", "office", "mixtures", "office"),
                ("de", "de", "en", "en", "en"),
                strict=True,
            )
        )
    ]
    (tmp_path / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    use = words_in_use(tmp_path / "words.whl", tmp_path)
    assert use["Baum"] == pytest.approx(0.5)
    assert use["Haus"] == pytest.approx(0.5 * 2 / 3)
    assert use["house"] == pytest.approx(1.0)
    assert not {"tree", "secret"} & set(use)
    assert sum(share for word, share in use.items() if word.lower() == "wortx") == pytest.approx(1.0)
    assert use["Wortx"] > use["Worty"]
