"""Terms of a text: the tokenizer's ids of the case-folded text, and where they stand in the text as it was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from latelite.manifest import TokenIds
from latelite.terms import Analyzer

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


KINDS = pytest.mark.parametrize("kind", ["unigram", "byte_level", "word_piece"])


@KINDS
def test_case_makes_no_difference(analyzers: dict[str, Analyzer], kind: str) -> None:
    of = analyzers[kind].ids
    assert of("BREAD and Butter").tolist() == of("bread AND bUTTER").tolist() != []
    assert of("STRASSE").tolist() == of("straße").tolist()


@KINDS
def test_a_word_is_the_same_term_wherever_it_stands(analyzers: dict[str, Analyzer], kind: str) -> None:
    of = analyzers[kind].ids
    assert of("bread").tolist() == of("rye bread")[-len(of("bread")) :].tolist()


def test_prefixes_special_and_unknown_tokens_are_no_terms(analyzers: dict[str, Analyzer]) -> None:
    pieces, words, byte_pieces = (analyzers[kind].ids for kind in ("unigram", "word_piece", "byte_level"))
    assert words("[d] bread").tolist() == words("bread").tolist()
    assert pieces("<pad> bread").tolist()[-1:] == pieces("bread").tolist()[-1:]
    assert pieces("<pad>").tolist() == pieces("<s>").tolist() == byte_pieces("<pad>").tolist() == []
    assert words("漢").tolist() == []
    assert pieces("bread漢").tolist() == pieces("bread").tolist()
    assert len(byte_pieces("漢")) > 0  # bytes know every text
    for of in (pieces, words, byte_pieces):
        assert of("").tolist() == []


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
    """Also behind characters that get longer when case-folded, and behind surrogates."""
    analyzer = analyzers[kind]
    text = "İİ ßßß \ud83d\ude00 \udce9 Bread"
    terms = analyzer.terms(text)
    of_word = terms.spans[-len(analyzer.ids("bread")) :]
    assert text[of_word[0, 0] : of_word[-1, 1]].strip() == "Bread"


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


def test_every_exported_bundle_has_terms(bundle: Callable[[str], Path]) -> None:
    from latelite.models import ColBERT

    for name in ("bert-pylate", "roberta-attend", "mpnet"):
        model = ColBERT(bundle(name))
        ids = model.analyzer.ids("A Folder, a folder")
        assert len(ids) > 0
        assert ids.max() < model.analyzer.vocabulary_size
