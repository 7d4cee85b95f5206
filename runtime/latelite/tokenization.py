"""Text -> ids, exactly as in the reference (PyLate's ``ColBERT.tokenize``)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from latelite.alignment import Ints, align, original_spans, well_formed
from latelite.arrays import distinct
from latelite.manifest import Manifest

_CHARACTERS_A_TOKEN = 32
_MARGIN = 64
_SHORTEST = 4
_MOST_CHARACTERS = 1 << 18
"""Characters that are looked at, where they make hardly any tokens: a word of megabytes, as base64 is, may be one
unknown token, and its tokenizer takes 100 bytes for each of its characters."""
_LAST_SPACE = re.compile(r"\s\S*\Z")


@dataclass(frozen=True)
class Tokens:
    """One text, ready for the encoder."""

    ids: NDArray[np.int64]
    """(tokens,)"""
    attention: NDArray[np.int64]
    """(tokens,) 1 for attended tokens, 0 for unattended expansion tokens."""
    keep: NDArray[np.bool_]
    """(tokens,) True for tokens whose vectors are part of the result."""


def load_tokenizer(tokenizer_json: Path) -> Tokenizer:
    """Load a tokenizer without truncation and padding."""
    # Not `from_file`, whose error for an unreadable file is just "Exception".
    tokenizer = Tokenizer.from_str(tokenizer_json.read_text(encoding="utf-8"))
    # PyLate saves the truncation and padding of its last call.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def offsets_of(encoding: Encoding) -> Ints:
    """(tokens, 2) where each token stands in the text that was encoded."""
    flat = chain.from_iterable(encoding.offsets)  # four times as fast as an array of pairs
    return np.fromiter(flat, np.int64, 2 * len(encoding)).reshape(-1, 2)


class Tokenization:
    """Turns texts into `Tokens`. Safe to share between threads."""

    def __init__(self, tokenizer_json: Path, manifest: Manifest) -> None:
        self.tokenizer = load_tokenizer(tokenizer_json)
        self._special = self.tokenizer.num_special_tokens_to_add(is_pair=False)
        self._settings = manifest.settings
        self._ids = manifest.token_ids
        self._skiplist = distinct(np.array(manifest.token_ids.skiplist, dtype=np.int64))

    def query(self, text: str) -> Tokens:
        """Ids of a query; with query expansion, padded to ``query_length`` with the expansion token."""
        settings = self._settings
        ids = self._encode(text, settings.query_length, self._ids.query_prefix)
        attention = np.ones(len(ids), dtype=np.int64)
        if settings.do_query_expansion:
            missing = settings.query_length - len(ids)
            attended = 1 if settings.attend_to_expansion_tokens else 0
            ids = np.concatenate([ids, np.full(missing, self._ids.padding, dtype=np.int64)])
            attention = np.concatenate([attention, np.full(missing, attended, dtype=np.int64)])
        # Expansion tokens are part of the query's vectors even if they are not attended to.
        return Tokens(ids, attention, np.ones(len(ids), dtype=np.bool_))

    def document(self, text: str) -> Tokens:
        """Ids of a document; tokens of the skiplist are encoded but not kept."""
        ids = self._encode(text, self._settings.document_length, self._ids.document_prefix)
        return Tokens(ids, np.ones(len(ids), dtype=np.int64), ~np.isin(ids, self._skiplist, kind="table"))

    @property
    def document_room(self) -> int:
        """Maximum tokens of a document's text: the document length without special tokens and prefix."""
        prefix = self._ids.document_prefix is not None
        return int(self._settings.document_length - self._special - prefix)

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, without truncation, special tokens and prefix."""
        prepared = [self._prepared(text) for text in texts]
        return [len(encoding) for encoding in self.tokenizer.encode_batch_fast(prepared, add_special_tokens=False)]

    def cuts(self, text: str) -> bool:
        """Whether this document is truncated."""
        return self._exceeds(text, self.document_room)

    def cuts_query(self, text: str) -> bool:
        """Whether this query is truncated."""
        return self._exceeds(text, self.query_length - self._special - (self._ids.query_prefix is not None))

    @property
    def query_length(self) -> int:
        """Maximum tokens of a query, special tokens and prefix included."""
        return self._settings.query_length

    def _exceeds(self, text: str, room: int) -> bool:
        if len(text) <= room:
            return False
        prepared = self._prepared(text)
        return len(prepared) > _MOST_CHARACTERS or len(self._beginning(prepared, room)) > room

    def query_spans(self, text: str, prompt: str = "") -> Ints:
        """Spans in ``text`` of the tokens of ``query(prompt + text)``: (tokens, 2) code points, start and end;
        (-1, -1) for tokens that are not in it: special, prefix, prompt and expansion tokens."""
        settings = self._settings
        _, spans = self._ids_and_spans(text, prompt, settings.query_length, self._ids.query_prefix)
        missing = settings.query_length - len(spans) if settings.do_query_expansion else 0
        return np.concatenate([spans, np.full((missing, 2), -1)])

    def document_spans(self, text: str, prompt: str = "") -> Ints:
        """Spans in ``text`` of the kept tokens of ``document(prompt + text)``, as for `query_spans`."""
        ids, spans = self._ids_and_spans(text, prompt, self._settings.document_length, self._ids.document_prefix)
        return spans[~np.isin(ids, self._skiplist, kind="table")]

    def _ids_and_spans(self, text: str, prompt: str, length: int, prefix: int | None) -> tuple[Ints, Ints]:
        """The ids of ``prompt + text``, and their spans in ``text``."""
        whole = prompt + text
        changed, source = align(whole, str.lower if self._settings.do_lower_case else None)
        lead = len(changed) - len(changed.lstrip()) if self._settings.strip else 0
        encoding = self._encoding(whole, length, prefix)
        # Byte-level tokenizers trim offsets at each post-processing, so take them from before it.
        offsets = offsets_of(encoding) + lead
        inside = original_spans(offsets, source) - len(prompt)
        inside[inside[:, 0] < 0] = -1
        processed = self.tokenizer.post_process(encoding)
        ids = np.array(processed.ids, np.int64)
        special = np.array(processed.special_tokens_mask, np.bool_)
        spans = np.full((len(special), 2), -1)
        spans[~special] = inside
        if prefix is None:
            return ids, spans
        second = min(1, len(ids))
        return np.insert(ids, second, prefix), np.insert(spans, second, -1, axis=0)

    def _encode(self, text: str, length: int, prefix: int | None) -> NDArray[np.int64]:
        encoding = self.tokenizer.post_process(self._encoding(text, length, prefix))
        ids = np.array(encoding.ids, dtype=np.int64)
        return ids if prefix is None else np.insert(ids, min(1, len(ids)), prefix)

    def _encoding(self, text: str, length: int, prefix: int | None) -> Encoding:
        """The tokens of a text without special tokens."""
        text = self._prepared(text)
        # Truncated before special tokens are added, so that the last one is kept.
        room = length - self._special - (prefix is not None)
        encoding = self._beginning(text, room)
        encoding.truncate(room)
        return encoding

    def _prepared(self, text: str) -> str:
        text = well_formed(text)
        if self._settings.strip:
            text = text.strip()
        return text.lower() if self._settings.do_lower_case else text

    def _beginning(self, text: str, room: int) -> Encoding:
        """The tokens of a text, for a long text at least the first ``room``; a token takes 200 bytes of memory."""
        stop = _CHARACTERS_A_TOKEN * max(room, _MARGIN)
        while stop < len(text):
            space = _LAST_SPACE.search(text, stop // 2, stop)
            encoding = self.tokenizer.encode(text[: space.start() if space else stop], add_special_tokens=False)
            # The rest of the text can only change the last few.
            if len(encoding) >= room + _MARGIN or stop >= _MOST_CHARACTERS:
                return encoding
            stop = min(4 * stop, _MOST_CHARACTERS)
        return self.tokenizer.encode(text, add_special_tokens=False)


def with_settings(manifest: Manifest, asked: Mapping[str, Any]) -> Manifest:
    """The manifest with the caller's settings in place of the export's.

    Raises:
        ValueError: a length is out of the encoder's range.
    """
    changed = {name: value for name, value in asked.items() if value is not None}
    for name in ("query_length", "document_length"):
        if name in changed and not _SHORTEST <= changed[name] <= manifest.max_positions:
            raise ValueError(
                f"{name} must be between {_SHORTEST} and {manifest.max_positions}, the encoder's maximum, "
                f"not {changed[name]}."
            )
    return replace(manifest, settings=replace(manifest.settings, **changed))
