"""Text -> terms for lexical search: the subwords that the encoder's tokenizer knows, and the first letters of words.

Both are taken from the whole text, whatever its case, so what stands behind the document length is found. Subwords
split compounds, know every language of the model, also those without spaces, and tell words apart that begin alike;
first letters (`latelite.words`) bring the inflections of a word together, which a tokenizer cuts in different ways.

A term is a number below 2**32, the same on every machine. A subword's is its id in the tokenizer's vocabulary; that of
first letters has the highest bit set, and 31 bits of the CRC-32 of their UTF-8 below. First letters so never meet a
subword; among a million different ones, one in 2,000 shares its number with another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from latelite.alignment import align, original_spans, well_formed
from latelite.manifest import TokenIds
from latelite.tokenization import load_tokenizer, offsets_of
from latelite.words import first_letters, folded, word_spans, words

RULE = "subwords, first letters of words"
"""Names what is done here, for whoever reads what was made of it; see `latelite.web`."""

FIRST_LETTERS = 1 << 31
"""Terms from here on are first letters of words, those below subwords."""

_CHUNK = 1 << 16
"""Characters that are tokenized at once: the tokenizer takes some 200 bytes for each of its tokens."""
_UNKNOWN_ID = re.compile(rb'"unk_id"\s*:\s*(\d+)')
_LAST_SPACE = re.compile(r"\s\S*\Z")


@dataclass(frozen=True)
class Terms:
    """The terms of one text and where they stand in it."""

    ids: NDArray[np.uint32]
    """(terms,) the subwords in the order of the text, then the words; with repeats."""
    spans: NDArray[np.int64]
    """(terms, 2) code points of the text as it was given: first, and one past the last. First letters span their word.
    """


class Analyzer:
    """Turns texts into terms. Safe to share between threads.

    Args:
        tokenizer_json: the bundle's tokenizer.
        token_ids: of the bundle's manifest; prefixes and padding are no terms, nor are special, unknown and white
            space tokens.
        tokenizer: the same, loaded and without truncation and padding: 16 MB and 50 ms that the default model spares.
    """

    def __init__(self, tokenizer_json: Path, token_ids: TokenIds, tokenizer: Tokenizer | None = None) -> None:
        self._tokenizer = tokenizer or load_tokenizer(tokenizer_json)
        excluded = {id_ for id_, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        excluded |= {id_ for id_ in (token_ids.query_prefix, token_ids.document_prefix) if id_ is not None}
        excluded |= {token_ids.padding} | _unknown_ids(self._tokenizer, tokenizer_json)
        excluded |= set(self._ids(" "))  # white space by itself
        size = max(self._tokenizer.get_vocab_size(), 1 + max(self._tokenizer.get_added_tokens_decoder(), default=-1))
        self._is_term = np.ones(size, np.bool_)
        self._is_term[sorted(excluded)] = False
        # Byte-level vocabularies have one id for a word at the very start of a text and another for it elsewhere.
        consistent = self._ids("x x") == 2 * self._ids("x")
        self._lead = " " if not consistent and self._ids(" x x") == 2 * self._ids(" x") else ""

    def ids(self, text: str) -> NDArray[np.uint32]:
        """(terms,) a text's terms, in the order of `Terms` and with repeats."""
        subwords, prefixes = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
        for _, chunk in _chunks(text):
            plain = well_formed(chunk)
            subwords.append(np.array(self._ids(self._with_lead(plain.casefold())), np.uint32))
            prefixes.append(prefix_terms(words(plain)))
        ids = np.concatenate(subwords)
        return np.concatenate([ids[self._is_term[ids]], *prefixes])

    def terms(self, text: str) -> Terms:
        """The terms of a text with their places in it."""
        subwords, prefixes = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
        subword_spans, prefix_spans = [np.empty((0, 2), np.int64)], [np.empty((0, 2), np.int64)]
        for start, chunk in _chunks(text):
            changed, source = align(chunk, str.casefold)
            led = self._with_lead(changed)
            encoding = self._tokenizer.encode(led, add_special_tokens=False)
            offsets = offsets_of(encoding) - (len(led) - len(changed))
            subwords.append(np.array(encoding.ids, np.uint32))
            subword_spans.append(start + original_spans(offsets, source))
            plain, source = align(chunk)
            found = word_spans(plain)
            prefixes.append(prefix_terms([plain[first:last] for first, last in found]))
            prefix_spans.append(start + original_spans(found, source))
        ids = np.concatenate(subwords)
        kept = self._is_term[ids]
        return Terms(
            np.concatenate([ids[kept], *prefixes]),
            np.concatenate([np.concatenate(subword_spans)[kept], *prefix_spans]),
        )

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _with_lead(self, folded: str) -> str:
        return folded if not self._lead or folded[:1].isspace() else self._lead + folded


def prefix_terms(written: Sequence[str]) -> NDArray[np.uint32]:
    """(words,) uint32, the term of each word's first letters."""
    plain = folded(written)
    numbers = {word: crc32(first_letters(word).encode()) for word in set(plain)}
    return np.array([numbers[word] for word in plain], np.uint32) | np.uint32(FIRST_LETTERS)


def _unknown_ids(tokenizer: Tokenizer, tokenizer_json: Path) -> set[int]:
    token = getattr(tokenizer.model, "unk_token", None)
    if token is not None:
        known = tokenizer.token_to_id(token)
        return set() if known is None else {known}
    # A Unigram model does not tell its unknown id. Reading the file as JSON takes a quarter of a second where it has
    # 250,000 entries; in a string of that file the quotation marks would be escaped.
    found = _UNKNOWN_ID.search(tokenizer_json.read_bytes())
    return {int(found[1])} if found else set()


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Where each part of ``text`` begins, and the part; cut before white space where there is some."""
    start = 0
    while start < len(text):
        stop = start + _CHUNK
        if stop < len(text) and (space := _LAST_SPACE.search(text, start + _CHUNK // 2, stop)):
            stop = space.start()
        yield start, text[start:stop]
        start = stop
