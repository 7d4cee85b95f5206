"""Spans of tokens, and edge cases: empty and huge texts, surrogates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from latelite.alignment import align, well_formed
from latelite.manifest import Manifest
from latelite.tokenization import Tokenization

TEXTS = st.text(alphabet=st.characters() | st.sampled_from("abe ßİﬁ\n👩\u200d\ud83d\ude00\u0301.-"), max_size=80)
BUNDLES = pytest.mark.parametrize("name", ["bert-pylate", "bert-expansion", "roberta-attend", "bert-prompts"])


def tokenization(folder: Path) -> Tokenization:
    return Tokenization(folder / "tokenizer.json", Manifest.read(folder))


@BUNDLES
@given(text=TEXTS, prompt=st.sampled_from(["", "query: "]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example(text="\ud83d\ude00 Straße", prompt="")
@example(text="  İstanbul  ", prompt="query: ")
def test_every_token_has_a_span_in_the_text(bundle: Callable[[str], Path], name: str, text: str, prompt: str) -> None:
    tokens = tokenization(bundle(name))
    document, spans = tokens.document(prompt + text), tokens.document_spans(text, prompt)
    assert len(spans) == document.keep.sum()
    query = tokens.query_spans(text, prompt)
    assert len(query) == len(tokens.query(prompt + text).ids)
    for each in (spans, query):
        inside = each[each[:, 0] >= 0]
        assert (inside[:, 0] <= inside[:, 1]).all()
        assert (inside[:, 1] <= len(text)).all()
        assert (each[each[:, 0] < 0] == -1).all()


@BUNDLES
def test_spans_point_at_the_words(bundle: Callable[[str], Path], name: str) -> None:
    text = "  İ \ud83d\ude00 the Folder "
    tokens = tokenization(bundle(name))
    spans = tokens.document_spans(text)
    covered = {i for start, end in spans.tolist() for i in range(start, end)}
    place = text.index("Folder")
    assert set(range(place, place + 6)) <= covered


@given(TEXTS)
def test_aligned_characters_come_from_where_they_say(text: str) -> None:
    for change in (None, str.casefold, str.lower):
        changed, source = align(text, change)
        assert changed == (well_formed(text) if change is None else change(well_formed(text)))
        assert len(source) == len(changed)
        if len(text):
            assert source[0, 0] == 0
            assert source[-1, 1] == len(text)
            assert (np.diff(source[:, 0]) >= 0).all()


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize(
    ("text", "words"), [("ab İi cd", [(0, 2), (3, 5), (6, 8)]), ("  İİ Ab  cd ", [(2, 4), (5, 7), (9, 11)])]
)
def test_spans_are_exactly_those_of_the_words(
    bundle: Callable[[str], Path],
    tmp_path: Path,
    text: str,
    words: list[tuple[int, int]],
    lower: bool,
    strip: bool,
) -> None:
    """Also from the first character on, after letters that lower case makes longer, and with white space in front."""
    bare = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    bare.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    bare.save(str(tmp_path / "tokenizer.json"))
    manifest = Manifest.read(bundle("bert-pylate"))
    settings = replace(manifest.settings, do_lower_case=lower, strip=strip, do_query_expansion=False)
    tokens = Tokenization(tmp_path / "tokenizer.json", replace(manifest, settings=settings))
    first, *rest = words
    assert tokens.query_spans(text).tolist() == [list(first), [-1, -1], *map(list, rest)]  # the prefix comes second
    prompted = tokens.query_spans(text, "ask me: ").tolist()
    assert prompted == [[-1, -1], [-1, -1], [-1, -1], *map(list, words)]


def test_a_huge_text_is_not_tokenized_to_its_end(
    bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = tokenization(bundle("bert-pylate"))
    text = "the folder, and more. " * 20_000
    beginning = tokens.document(text[:40_000])
    lengths = []
    encode = Tokenizer.encode

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

        def encode(self, part: str, **options: object) -> object:
            lengths.append(len(part))
            return encode(inner, part, **options)

    inner = tokens.tokenizer
    monkeypatch.setattr(tokens, "tokenizer", Counting())
    assert np.array_equal(tokens.document(text).ids, beginning.ids)
    assert max(lengths) < 50_000
    assert len(tokens.document("x" * 2_000_000).ids) <= 512


def test_without_special_tokens_an_empty_text_is_its_prefix(bundle: Callable[[str], Path], tmp_path: Path) -> None:
    bare = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "[D] ": 2}, unk_token="[UNK]"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    bare.save(str(tmp_path / "tokenizer.json"))
    tokens = Tokenization(tmp_path / "tokenizer.json", Manifest.read(bundle("bert-pylate")))
    prefix = Manifest.read(bundle("bert-pylate")).token_ids.document_prefix
    assert prefix is not None
    assert tokens.document("").ids.tolist() == [prefix]
    assert tokens.document("a a").ids.tolist() == [1, prefix, 1]
    assert tokens.document_spans("").tolist() == [[-1, -1]]
