"""Tokens and vectors in JavaScript are those of Python."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import DEFAULT_BUNDLE
from latelite import Collection
from latelite.manifest import Precision
from latelite.models import ColBERT
from latelite.terms import prefix_terms
from latelite.web.writer import write_site
from latelite.words import words

from .conftest import Ask
from .texts import ALL

BUNDLES = (
    "bert-expansion",
    "bert-prompts",
    "bert-pylate",
    "bert-cased-skiplist",
    "modernbert",
    "xlm-roberta",
    "default",
)
"""WordPiece, byte-level BPE, Unigram; with and without expansion, prompts and lower-casing."""
INT8 = ("bert-pylate", "modernbert", "default")


def _site(name: str, precision: Precision, bundle: Callable[[str], Path], assets: Path, out: Path) -> ColBERT:
    if name == "default" and not (DEFAULT_BUNDLE / "manifest.json").exists():
        pytest.skip("the default bundle is not built (make models/default-onnx)")
    model = ColBERT(DEFAULT_BUNDLE if name == "default" else bundle(name), precision=precision)
    with Collection(out / "texts.lt", model) as collection:
        collection.add(["one"], ["One text."])
        write_site(collection, out / "site", precision=precision, assets=assets)
    return model


@pytest.mark.parametrize("name", BUNDLES)
def test_tokens_and_vectors_are_the_same(
    name: str, bundle: Callable[[str], Path], assets: Path, ask: Ask, tmp_path: Path
) -> None:
    model = _site(name, "fp32", bundle, assets, tmp_path)
    some = ALL[::4]
    answers = ask(
        tmp_path / "site",
        ("encode", some),
        ("encode", some, {"isQuery": False}),
        *(("tokens", text) for text in ALL),
        *(("documentTokens", text) for text in ALL),
    )
    queries, documents = answers[2 : 2 + len(ALL)], answers[2 + len(ALL) :]
    for text, query, document in zip(ALL, queries, documents, strict=True):
        expected = model._tokenization.query(text)
        assert query["ids"] == expected.ids.tolist(), text
        assert query["attention"] == expected.attention.tolist(), text
        assert query["terms"] == model.analyzer.ids(text).tolist(), text
        expected = model._tokenization.document(text)
        assert document["ids"] == expected.ids.tolist(), text
        assert document["keep"] == expected.keep.tolist(), text
    for found, vectors in _pairs(answers[:2], model, some):
        np.testing.assert_allclose(found, vectors, atol=1e-5)


@pytest.mark.parametrize("name", INT8)
def test_int8_vectors_are_nearly_the_same(
    name: str, bundle: Callable[[str], Path], assets: Path, ask: Ask, tmp_path: Path
) -> None:
    model = _site(name, "int8", bundle, assets, tmp_path)
    some = ALL[1::8]
    answers = ask(tmp_path / "site", ("encode", some), ("encode", some, {"isQuery": False}))
    # Activations are rounded otherwise where the processor rounds otherwise.
    cosines = np.concatenate([(found * expected).sum(axis=1) for found, expected in _pairs(answers, model, some)])
    assert cosines.mean() > 0.9995
    assert cosines.min() > 0.995


def _pairs(answers: list[Any], model: ColBERT, texts: Sequence[str]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """What JavaScript and Python make of each text, as a query and as a document: (tokens, dim)."""
    for found, expected in zip(answers, (model.encode_query(texts), model.encode_document(texts)), strict=True):
        for one, other in zip(found, expected, strict=True):
            yield np.array(one, np.float32).reshape(-1, model.dim), other


def test_case_is_folded_as_in_python(ask: Ask) -> None:
    # Newer characters than Python's are folded by browsers that know them.
    points = [p for p in range(0x110000) if not 0xD800 <= p < 0xE000 and unicodedata.category(chr(p)) != "Cn"]
    text = "".join(map(chr, points))
    (folded,) = ask(None, ("casefold.casefold", text))
    wrong = [hex(p) for p in points if chr(p).casefold() != chr(p).lower() or chr(p).casefold() != chr(p)]
    assert len(wrong) > 1400  # what is folded at all is looked at
    assert folded == text.casefold()


def test_words_are_those_of_python(ask: Ask) -> None:
    points = [p for p in range(0x110000) if not 0xD800 <= p < 0xE000 and unicodedata.category(chr(p)) != "Cn"]
    text = "".join(f" a{chr(p)} {chr(p)}b{chr(p)}cdefg" for p in points)
    (found,) = ask(None, ("words.wordTerms", text))
    assert found["ids"] == prefix_terms(words(text)).tolist()


def test_white_space_is_stripped_as_in_python(ask: Ask) -> None:
    points = [chr(p) for p in range(0x110000) if not 0xD800 <= p < 0xE000]
    spaces = [point for point in points if point.isspace()]
    others = ["\ufeff", "\u200b", "\u180e", "\x1b", "\xad"]
    texts = [f"{space}a{space}b{space}" for space in [*spaces, *others]]
    assert ask(None, *(("text.strip", text) for text in texts)) == [text.strip() for text in texts]
