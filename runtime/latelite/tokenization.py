"""Text -> ids, exactly as the reference does it (PyLate's ``ColBERT.tokenize``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from latelite.manifest import Manifest


@dataclass(frozen=True)
class Tokens:
    """One text, ready for the encoder."""

    ids: NDArray[np.int64]
    """(tokens,)"""
    attention: NDArray[np.int64]
    """(tokens,) 1 where the encoder attends, 0 on expansion tokens that it does not attend to."""
    keep: NDArray[np.bool_]
    """(tokens,) True where the token's vector is part of the result."""


class Tokenization:
    """Turns texts into `Tokens`. Safe to share between threads."""

    def __init__(self, tokenizer_json: Path, manifest: Manifest) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer_json))
        # Files saved by PyLate carry the truncation and padding of whatever was encoded last.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self._settings = manifest.settings
        self._ids = manifest.token_ids
        self._skiplist = np.unique(np.array(manifest.token_ids.skiplist, dtype=np.int64))

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
        return Tokens(ids, np.ones(len(ids), dtype=np.int64), ~np.isin(ids, self._skiplist))

    def _encode(self, text: str, length: int, prefix: int | None) -> NDArray[np.int64]:
        text = _well_formed(text)
        if self._settings.strip:
            text = text.strip()
        if self._settings.do_lower_case:
            text = text.lower()
        # Cut before the special tokens are added, so that the closing one survives.
        room = length - self._special - (prefix is not None)
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        encoding.truncate(room)
        ids = np.array(self._tokenizer.post_process(encoding).ids, dtype=np.int64)
        return ids if prefix is None else np.insert(ids, 1, prefix)


def _well_formed(text: str) -> str:
    """Join surrogate pairs and replace unpaired surrogates by U+FFFD.

    Python strings may hold surrogates (file names decoded with ``surrogateescape``, JSON cut in the middle of an
    emoji); the tokenizer takes UTF-8 only and would raise on them.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
