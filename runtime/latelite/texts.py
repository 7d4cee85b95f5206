"""Texts on their way into a collection: checked, grouped by tokens, encoded."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite import memory
from latelite.arrays import Floats, Ints
from latelite.models import ColBERT
from latelite.pooling import pool_with_clusters
from latelite.results import Document
from latelite.storage.identifiers import DocumentId, checked_id, checked_ids

logger = logging.getLogger(__name__)

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


def checked_texts(
    ids: Sequence[int | str], texts: Sequence[str], metadata: Sequence[Mapping[str, Any]] | None
) -> list[Text]:
    """Texts with their ids and metadata, all of them checked before anything is done with one.

    Raises:
        TypeError, ValueError: lengths differ, or as `Text.of`.
        DuplicateIdError: an id occurs twice.
    """
    for name, each in (("ids", ids), ("texts", texts), ("metadata", metadata)):
        if isinstance(each, str | bytes):
            raise TypeError(f"{name} must be a list, not one string.")
    known = checked_ids(ids)
    given = [{}] * len(known) if metadata is None else list(metadata)
    if not len(known) == len(texts) == len(given):
        raise ValueError(
            f"ids, texts and metadata must have the same length, not {len(known)}, {len(texts)} and {len(given)}."
        )
    return [Text.of(*each) for each in zip(known, texts, given, strict=True)]


def text_of(document: Document | Mapping[str, Any]) -> Text:
    """Check one document; raises as `Text.of`, and ValueError for a mapping without id or text."""
    if isinstance(document, Document):
        return Text.of(document.id, document.text, document.metadata)
    if not isinstance(document, Mapping):
        raise TypeError(f"a document must be a Document or a mapping, not {type(document).__name__}.")
    missing = [name for name in ("id", "text") if name not in document]
    if missing:
        raise ValueError(f"a document has no {missing[0]!r}: {sorted(map(str, document))}.")
    return Text.of(document["id"], document["text"], document.get("metadata", {}))


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
    words: list[NDArray[np.uint32]] = field(default_factory=list)
    pooled: list[Ints | None] = field(default_factory=list)

    @property
    def ids(self) -> list[DocumentId]:
        return [text.id for text in self.texts]

    @property
    def lengths(self) -> Ints:
        return np.fromiter(map(len, self.arrays), np.int64, len(self.arrays))

    @property
    def tokens(self) -> int:
        return sum(map(len, self.arrays))

    @property
    def full(self) -> bool:
        """Whether it is to be written before more is encoded."""
        return len(self.texts) >= GROUP_DOCUMENTS or self.tokens >= GROUP_TOKENS

    def blocks(self, tokens: int) -> Iterator[Floats]:
        return iter(self.arrays)

    def vectors(self, position: int) -> Floats:
        return self.arrays[position]

    def text(self, position: int) -> str:
        return self.texts[position].text

    def metadata(self, position: int) -> str:
        return self.texts[position].metadata

    def terms(self, position: int) -> NDArray[np.uint32] | None:
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


def encoded_groups(
    model: ColBERT,
    texts: Iterable[Text],
    *,
    pool_factor: int,
    advance: Callable[[int], object],
    before: Callable[[], object] = lambda: None,
) -> Iterator[EncodedTexts]:
    """``texts`` encoded, in groups that are written together.

    Args:
        advance: called with the number of texts that were encoded since its last call.
        before: called before the first text of a group is encoded.
    """
    group = EncodedTexts()
    for batch in batches(texts, model.manifest.settings.document_length):
        if not group.texts:
            before()
        encode(model, batch, group, pool_factor=pool_factor)
        advance(len(batch))
        if group.full:
            memory.give_back()
            yield _told(group)
            group = EncodedTexts()
    if group.texts:
        yield _told(group)


def _told(group: EncodedTexts) -> EncodedTexts:
    """Log how many texts of a group were cut."""
    if any(group.cut):
        logger.info(
            "%d of %d texts are longer than the model's document length; their ends are found by words only.",
            sum(group.cut),
            len(group.cut),
        )
    return group


def known_groups(model: ColBERT, texts: Iterable[Text], arrays: Iterable[Floats]) -> Iterator[EncodedTexts]:
    """``texts`` whose vectors are known, in groups that are written together."""
    group = EncodedTexts()
    for text, vectors in zip(texts, arrays, strict=True):
        group.cut.append(model.cuts(text.text))
        group.words.append(model.analyzer.ids(text.text))
        group.arrays.append(vectors)
        group.pooled.append(None)
        group.texts.append(text)
        if group.full:
            yield group
            group = EncodedTexts()
    if group.texts:
        yield group
