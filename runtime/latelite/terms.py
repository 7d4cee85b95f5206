"""Text -> terms for lexical search: the ids that the encoder's tokenizer gives for the whole, case-folded text.

No second analyser: the vocabulary that the encoder was trained with splits compounds, knows every language of the
model, and leaves nothing out that stands behind the document length. Texts are case-folded since a piece of "Ordner"
and one of "ordner" are different ids, and people type in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from latelite.alignment import aligned, as_written, well_formed
from latelite.manifest import TokenIds
from latelite.tokenization import load_tokenizer

_CHUNK = 1 << 16
"""Characters that are tokenized at once: the tokenizer takes some 200 bytes for each of its tokens."""
_UNKNOWN_ID = re.compile(rb'"unk_id"\s*:\s*(\d+)')
_LAST_SPACE = re.compile(r"\s\S*\Z")


@dataclass(frozen=True)
class Terms:
    """The terms of one text and where they stand in it."""

    ids: NDArray[np.int32]
    """(terms,) in the order of the text, with repeats."""
    spans: NDArray[np.int64]
    """(terms, 2) code points of the text as it was given: first, and one past the last."""


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
        self.vocabulary_size: int = max(
            self._tokenizer.get_vocab_size(), 1 + max(self._tokenizer.get_added_tokens_decoder(), default=-1)
        )
        """Term ids are below this."""
        self._is_term = np.ones(self.vocabulary_size, np.bool_)
        self._is_term[sorted(excluded)] = False
        # Byte-level vocabularies have one id for a word at the very start of a text and another for it elsewhere.
        consistent = self._ids("x x") == 2 * self._ids("x")
        self._lead = " " if not consistent and self._ids(" x x") == 2 * self._ids(" x") else ""

    def ids(self, text: str) -> NDArray[np.int32]:
        """(terms,) ids of a text's terms, in order and with repeats."""
        found = [
            np.array(self._ids(self._with_lead(well_formed(chunk).casefold())), np.int32) for _, chunk in _chunks(text)
        ]
        ids = np.concatenate(found) if found else np.empty(0, np.int32)
        kept: NDArray[np.int32] = ids[self._is_term[ids]]
        return kept

    def terms(self, text: str) -> Terms:
        """The terms of a text with their places in it."""
        ids, spans = [np.empty(0, np.int32)], [np.empty((0, 2), np.int64)]
        for start, chunk in _chunks(text):
            folded, source = aligned(chunk, str.casefold)
            led = self._with_lead(folded)
            encoding = self._tokenizer.encode(led, add_special_tokens=False)
            offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2) - (len(led) - len(folded))
            ids.append(np.array(encoding.ids, np.int32))
            spans.append(start + as_written(offsets, source))
        all_ids = np.concatenate(ids)
        kept = self._is_term[all_ids]
        return Terms(all_ids[kept], np.concatenate(spans)[kept])

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _with_lead(self, folded: str) -> str:
        return folded if not self._lead or folded[:1].isspace() else self._lead + folded


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
