"""Text -> ids, exactly as the reference does it (PyLate's ``ColBERT.tokenize``)."""

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

from latelite.alignment import Ints, aligned, as_written, well_formed
from latelite.arrays import distinct
from latelite.manifest import Manifest

_CHARACTERS_A_TOKEN = 32
_MARGIN = 64
_SHORTEST = 4
_LAST_SPACE = re.compile(r"\s\S*\Z")


@dataclass(frozen=True)
class Tokens:
    """One text, ready for the encoder."""

    ids: NDArray[np.int64]
    """(tokens,)"""
    attention: NDArray[np.int64]
    """(tokens,) 1 where the encoder attends, 0 on expansion tokens that it does not attend to."""
    keep: NDArray[np.bool_]
    """(tokens,) True where the token's vector is part of the result."""


def load_tokenizer(tokenizer_json: Path) -> Tokenizer:
    """The tokenizer of a file, without truncation and padding."""
    # Not `from_file`, which says nothing of what the system refused but "Exception".
    tokenizer = Tokenizer.from_str(tokenizer_json.read_text(encoding="utf-8"))
    # Files saved by PyLate carry the truncation and padding of whatever was encoded last.
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
        """Ids of a query; padded to ``query_length`` with the expansion token when expansion is on."""
        settings = self._settings
        ids = self._encode(text, settings.query_length, self._ids.query_prefix)
        attention = np.ones(len(ids), dtype=np.int64)
        if settings.do_query_expansion:
            missing = settings.query_length - len(ids)
            attended = 1 if settings.attend_to_expansion_tokens else 0
            ids = np.concatenate([ids, np.full(missing, self._ids.padding, dtype=np.int64)])
            attention = np.concatenate([attention, np.full(missing, attended, dtype=np.int64)])
        # Expansion tokens are part of the query's vectors even where nothing attends to them.
        return Tokens(ids, attention, np.ones(len(ids), dtype=np.bool_))

    def document(self, text: str) -> Tokens:
        """Ids of a document; tokens of the skiplist are encoded but not kept."""
        ids = self._encode(text, self._settings.document_length, self._ids.document_prefix)
        return Tokens(ids, np.ones(len(ids), dtype=np.int64), ~np.isin(ids, self._skiplist, kind="table"))

    @property
    def document_room(self) -> int:
        """Tokens of a document's text that the encoder reads; the special tokens and the prefix take the others."""
        prefix = self._ids.document_prefix is not None
        return int(self._settings.document_length - self._special - prefix)

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, uncut and without special tokens and prefix."""
        prepared = [self._prepared(text) for text in texts]
        return [len(encoding) for encoding in self.tokenizer.encode_batch_fast(prepared, add_special_tokens=False)]

    def cuts(self, text: str) -> bool:
        """Whether the encoder reads only the beginning of this document."""
        return self._exceeds(text, self.document_room)

    def cuts_query(self, text: str) -> bool:
        """Whether the encoder reads only the beginning of this query."""
        return self._exceeds(text, self.query_length - self._special - (self._ids.query_prefix is not None))

    @property
    def query_length(self) -> int:
        """Tokens of a query at most, special tokens and prefix included."""
        return self._settings.query_length

    def _exceeds(self, text: str, room: int) -> bool:
        return len(text) > room and len(self._beginning(self._prepared(text), room)) > room

    def query_spans(self, text: str, prompt: str = "") -> Ints:
        """Where the tokens of ``query(prompt + text)`` stand in ``text``: (tokens, 2) code points, first and one past
        the last; (-1, -1) for tokens that are no part of it: special, prefix, prompt and expansion tokens."""
        settings = self._settings
        _, spans = self._ids_and_spans(text, prompt, settings.query_length, self._ids.query_prefix)
        missing = settings.query_length - len(spans) if settings.do_query_expansion else 0
        return np.concatenate([spans, np.full((missing, 2), -1)])

    def document_spans(self, text: str, prompt: str = "") -> Ints:
        """Where the kept tokens of ``document(prompt + text)`` stand in ``text``, as `query_spans`."""
        ids, spans = self._ids_and_spans(text, prompt, self._settings.document_length, self._ids.document_prefix)
        return spans[~np.isin(ids, self._skiplist, kind="table")]

    def _ids_and_spans(self, text: str, prompt: str, length: int, prefix: int | None) -> tuple[Ints, Ints]:
        """The ids of ``prompt + text``, and where they stand in ``text``."""
        whole = prompt + text
        changed, source = aligned(whole, str.lower if self._settings.do_lower_case else None)
        lead = len(changed) - len(changed.lstrip()) if self._settings.strip else 0
        encoding = self._encoding(whole, length, prefix)
        # Byte-level tokenizers trim offsets each time they are post-processed: take them from before.
        offsets = offsets_of(encoding) + lead
        inside = as_written(offsets, source) - len(prompt)
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
        """The tokens of a text without those that the tokenizer puts around it."""
        text = self._prepared(text)
        # Cut before the special tokens are added, so that the closing one survives.
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
        """The tokens of a text, of a long one at least ``room`` of them: each takes the tokenizer 200 bytes."""
        stop = _CHARACTERS_A_TOKEN * max(room, _MARGIN)
        while stop < len(text):
            space = _LAST_SPACE.search(text, stop // 2, stop)
            encoding = self.tokenizer.encode(text[: space.start() if space else stop], add_special_tokens=False)
            if len(encoding) >= room + _MARGIN:  # what follows changes the last few tokens at most
                return encoding
            stop *= 4
        return self.tokenizer.encode(text, add_special_tokens=False)


def with_settings(manifest: Manifest, asked: Mapping[str, Any]) -> Manifest:
    """The manifest with what the caller asked for in place of the export's settings.

    Raises:
        ValueError: a length is no length of this encoder.
    """
    changed = {name: value for name, value in asked.items() if value is not None}
    for name in ("query_length", "document_length"):
        if name in changed and not _SHORTEST <= changed[name] <= manifest.max_positions:
            raise ValueError(
                f"{name} must be at least {_SHORTEST} and at most {manifest.max_positions}, what this encoder reads, "
                f"not {changed[name]}."
            )
    return replace(manifest, settings=replace(manifest.settings, **changed))
