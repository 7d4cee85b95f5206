"""Texts on their way into a collection: checked, grouped by tokens, encoded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints
from latelite.models import ColBERT
from latelite.pooling import pool_with_clusters
from latelite.storage.identifiers import DocumentId, checked_id

GROUP_DOCUMENTS = 512
"""Documents that are written together, at most: what a crash costs."""
GROUP_TOKENS = 65_536
"""Tokens of documents that are written together, at most: 32 MB of vectors at 128 dimensions, a bound on memory."""
_ENCODED_AT_ONCE = 64
"""Texts between two steps of the progress bar."""


@dataclass(frozen=True)
class Text:
    """One text with its id and metadata, checked."""

    id: DocumentId
    text: str
    metadata: str
    """ASCII JSON."""

    @classmethod
    def of(cls, id: Any, text: Any, metadata: Any) -> Text:
        """Check one document.

        Raises:
            TypeError: the id is neither str nor int, the text is no str, or the metadata no mapping.
            ValueError: the metadata cannot be written as JSON.
        """
        known = checked_id(id)
        if not isinstance(text, str):
            raise TypeError(f"the text of document {known!r} must be str, not {type(text).__name__}.")
        return cls(known, text, metadata_json(known, metadata))


def metadata_json(id: DocumentId, metadata: Any) -> str:
    """Metadata as ASCII JSON.

    Raises:
        TypeError: it is no mapping.
        ValueError: it cannot be written as JSON.
    """
    if not isinstance(metadata, Mapping):
        raise TypeError(f"the metadata of document {id!r} must be a mapping, not {type(metadata).__name__}.")
    try:
        text = json.dumps(dict(metadata), allow_nan=False, separators=(",", ":"))
        json.loads(text)  # what is nested too deeply for this would be refused at every later reading
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the metadata of document {id!r} cannot be written as JSON: {error}.") from error
    return text


@dataclass
class EncodedTexts:
    """Documents ready to be written: `latelite.storage.writing.NewDocuments`."""

    texts: list[Text] = field(default_factory=list)
    arrays: list[Floats] = field(default_factory=list)
    cut: list[bool] = field(default_factory=list)
    words: list[NDArray[np.int32]] = field(default_factory=list)
    pooled: list[Ints | None] = field(default_factory=list)

    @property
    def ids(self) -> list[DocumentId]:
        return [text.id for text in self.texts]

    @property
    def lengths(self) -> Ints:
        return np.fromiter(map(len, self.arrays), np.int64, len(self.arrays))

    def blocks(self, tokens: int) -> Iterator[Floats]:
        return iter(self.arrays)

    def vectors(self, position: int) -> Floats:
        return self.arrays[position]

    def text(self, position: int) -> str:
        return self.texts[position].text

    def metadata(self, position: int) -> str:
        return self.texts[position].metadata

    def terms(self, position: int) -> NDArray[np.int32] | None:
        return self.words[position]

    def truncated(self, position: int) -> bool:
        return self.cut[position]

    def clusters(self, position: int) -> Ints | None:
        return self.pooled[position]


def batches(texts: Iterable[Text], room: int) -> Iterator[list[Text]]:
    """``texts`` in lists that are encoded together: few enough that their vectors stay a fraction of `GROUP_TOKENS`.

    Args:
        room: tokens that a text takes at most. It also takes at most about one a character.
    """
    batch: list[Text] = []
    tokens = 0
    for text in texts:
        batch.append(text)
        tokens += min(room, len(text.text) + 4)
        if len(batch) == _ENCODED_AT_ONCE or tokens >= GROUP_TOKENS // 4:
            yield batch
            batch, tokens = [], 0
    if batch:
        yield batch


def encode(model: ColBERT, batch: Sequence[Text], group: EncodedTexts, *, pool_factor: int) -> None:
    """Encode texts and append them to ``group``."""
    texts = [text.text for text in batch]
    group.cut += [model.cuts(text) for text in texts]
    group.words += [model.analyzer.ids(text) for text in texts]
    for vectors in model.encode_document(texts, show_progress_bar=False):
        if not len(vectors):  # nothing was kept: a text without tokens is near to nothing, and found by its words
            vectors = np.zeros((1, model.dim), np.float32)
        pooled, clusters = pool_with_clusters(vectors, pool_factor=pool_factor)
        group.arrays.append(pooled)
        group.pooled.append(None if pooled is vectors else clusters)
    group.texts += batch


def append(model: ColBERT, text: Text, vectors: Floats, group: EncodedTexts) -> None:
    """Append one text whose vectors are known."""
    group.cut.append(model.cuts(text.text))
    group.words.append(model.analyzer.ids(text.text))
    group.arrays.append(vectors)
    group.pooled.append(None)
    group.texts.append(text)
