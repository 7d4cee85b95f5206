"""Terms of a text: its subwords, the first letters of its words, and their spans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from latelite.manifest import TokenIds
from latelite.terms import FIRST_LETTERS, Analyzer

NO_PREFIX = TokenIds(query_prefix=None, document_prefix=None, padding=0, skiplist=())
SENTENCES = [
    "wie lösche ich ein verzeichnis und seine dateien? straße istanbul",
    "delete the folder with all of its files, the e\u0301te\u0301 of 1999",
    "bread and butter and rye bread, the breads of old",
]


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=["<pad>", "<unk>", "<s>"], unk_token="<unk>")
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<pad>", "<s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=["[PAD]", "[UNK]", "[CLS]"])
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.add_tokens([AddedToken("[d] ", normalized=False)])
    return tokenizer


@pytest.fixture(scope="module")
def analyzers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Analyzer]:
    made = {}
    for make in (unigram, byte_level, word_piece):
        path = tmp_path_factory.mktemp("tokenizers") / f"{make.__name__}.json"
        tokenizer = make()
        tokenizer.save(str(path))
        prefix = tokenizer.token_to_id("[d] ")
        made[make.__name__] = Analyzer(path, TokenIds(None, prefix, padding=0, skiplist=()))
    return made


def subwords(analyzer: Analyzer, text: str) -> list[int]:
    return [term for term in analyzer.ids(text).tolist() if term < FIRST_LETTERS]


KINDS = pytest.mark.parametrize("kind", ["unigram", "byte_level", "word_piece"])


@KINDS
def test_case_makes_no_difference(analyzers: dict[str, Analyzer], kind: str) -> None:
    of = analyzers[kind].ids
    assert of("BREAD and Butter").tolist() == of("bread AND bUTTER").tolist() != []
    assert of("STRASSE").tolist() == of("straße").tolist()


@KINDS
def test_a_word_is_the_same_term_wherever_it_stands(analyzers: dict[str, Analyzer], kind: str) -> None:
    def of(text: str) -> list[int]:
        return subwords(analyzers[kind], text)

    assert of("bread") == of("rye bread")[-len(of("bread")) :]


def test_prefixes_special_and_unknown_tokens_are_no_terms(analyzers: dict[str, Analyzer]) -> None:
    def of(kind: str, text: str) -> list[int]:
        return subwords(analyzers[kind], text)

    assert of("word_piece", "[d] bread") == of("word_piece", "bread")
    assert of("unigram", "<pad> bread")[-1:] == of("unigram", "bread")[-1:]
    assert of("unigram", "<pad>") == of("unigram", "<s>") == of("byte_level", "<pad>") == []
    assert of("word_piece", "漢") == []
    assert of("unigram", "bread漢") == of("unigram", "bread")
    assert len(of("byte_level", "漢")) > 0  # bytes know every text
    for kind in analyzers:
        assert analyzers[kind].ids("").tolist() == []


@KINDS
@given(text=st.text(alphabet=st.characters() | st.sampled_from("ßİﬁ \n👩\u200d\ud83d\ude00e\u0301"), max_size=60))
def test_spans_lie_in_the_text(analyzers: dict[str, Analyzer], kind: str, text: str) -> None:
    terms = analyzers[kind].terms(text)
    assert terms.ids.tolist() == analyzers[kind].ids(text).tolist()
    assert terms.spans.shape == (len(terms.ids), 2)
    assert ((terms.spans >= 0) & (terms.spans <= len(text))).all()
    assert (terms.spans[:, 0] <= terms.spans[:, 1]).all()


@KINDS
def test_spans_point_at_the_words_as_written(analyzers: dict[str, Analyzer], kind: str) -> None:
    """Also after characters that get longer by case folding, and after surrogates."""
    analyzer = analyzers[kind]
    text = "İİ ßßß \ud83d\ude00 \udce9 Bread"
    terms = analyzer.terms(text)
    spans = terms.spans[terms.ids < FIRST_LETTERS]
    of_word = spans[-len(subwords(analyzer, "bread")) :]
    assert text[of_word[0, 0] : of_word[-1, 1]].strip() == "Bread"
    words = terms.spans[terms.ids >= FIRST_LETTERS].tolist()
    assert [text[start:end] for start, end in words] == ["İİ", "ßßß", "Bread"]


@KINDS
def test_a_long_text_is_cut_where_no_term_is(
    analyzers: dict[str, Analyzer], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "rye bread and butter, the old Straße. " * 40
    whole = analyzers[kind].terms(text)
    monkeypatch.setattr("latelite.terms._CHUNK", 100)
    parts = analyzers[kind].terms(text)
    assert parts.ids.tolist() == whole.ids.tolist()
    assert np.array_equal(parts.spans, whole.spans)
    assert len(analyzers[kind].ids("d" * 1000)) > 0  # no white space at all


def test_words_that_begin_alike_share_a_term(analyzers: dict[str, Analyzer]) -> None:
    def of(text: str) -> set[int]:
        return {term for term in analyzers["word_piece"].ids(text).tolist() if term >= FIRST_LETTERS}

    assert of("lösche") == of("löschen") == of("LOSCHE") == of("lo\u0308scht") != of("gelöscht")
    assert of("1234567") != of("1234568")  # numbers are no inflections of each other
    assert of("日本語 ไทย") == set()
    assert of("a _b_ c-d") == of("A B C D")


def test_terms_are_the_same_everywhere(analyzers: dict[str, Analyzer]) -> None:
    """Collections are carried from machine to machine."""
    ids = analyzers["word_piece"].ids("Straße, हिन्दी 한국어")
    assert ids[ids >= FIRST_LETTERS].tolist() == [4271021207, 3613542750, 4184791386]


def test_every_exported_bundle_has_terms(bundle: Callable[[str], Path]) -> None:
    from latelite.models import ColBERT

    for name in ("bert-pylate", "roberta-attend", "mpnet"):
        model = ColBERT(bundle(name))
        ids = model.analyzer.ids("A Folder, a folder")
        assert 0 < (ids < FIRST_LETTERS).sum() < len(ids)
