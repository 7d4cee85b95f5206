"""The documents of a collection as they leave for other software: a batch at a time, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from latelite.collection import Collection
from latelite.collection_folder import HEADER_NAME
from latelite.errors import LateliteError, OutputExistsError

Dtype = Literal["float32", "float16", "int8"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)

BATCH_DOCUMENTS = 1024
"""Documents in memory at once, at most."""
BATCH_TOKENS = 16_384
"""Their token vectors, about: 8 MB of float32 at 128 dimensions."""


@dataclass(frozen=True)
class Batch:
    """Some documents. All lists have one entry per document."""

    ids: list[int | str]
    texts: list[str]
    metadata: list[dict[str, Any]]
    vectors: list[NDArray[np.float32]]
    """(tokens, dim) float32 each."""

    def metadata_json(self) -> list[str]:
        """The metadata as ASCII JSON objects."""
        return [json.dumps(fields) for fields in self.metadata]


def batches(collection: Collection, tokens: int = BATCH_TOKENS) -> Iterator[Batch]:
    """All documents in the order in which they were added.

    Args:
        tokens: a batch ends with the document by which it has this many.

    Raises:
        LateliteError: a document holds a lone surrogate, which UTF-8, and so no other engine, can express.
        StoreError: a writer removed or replaced documents meanwhile.
    """
    batch = Batch([], [], [], [])
    held = 0
    for document, vectors in collection.token_vectors():
        _check_expressible(document.id, document.text, document.metadata)
        batch.ids.append(document.id)
        batch.texts.append(document.text)
        batch.metadata.append(dict(document.metadata))
        batch.vectors.append(vectors)
        held += len(vectors)
        if len(batch.ids) == BATCH_DOCUMENTS or held >= tokens:
            yield batch
            batch, held = Batch([], [], [], []), 0
    if batch.ids:
        yield batch


def _check_expressible(id: int | str, text: str, metadata: Mapping[str, Any]) -> None:
    for name, value in (("id", str(id)), ("text", text), ("metadata", json.dumps(metadata, ensure_ascii=False))):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise LateliteError(
                f"the {name} of document {id!r} holds a lone surrogate, which is no character and cannot be handed "
                "over; replace or remove the document."
            ) from error


def check_outside(path: Path) -> None:
    """Raise OutputExistsError when ``path`` is a collection or lies in one."""
    absolute = path.absolute()
    for folder in (absolute, *absolute.parents):
        if (folder / HEADER_NAME).exists():
            raise OutputExistsError(f"{folder} is a collection, and stays one; choose a place outside of it.")


def check_file(path: Path, override: bool) -> None:
    """Raise an error when a file must not, or cannot, be written at ``path``.

    Raises:
        OutputExistsError: there is something that must not be replaced by a file; or a collection is around it.
        FileNotFoundError: its folder does not exist.
    """
    check_outside(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist; create it, or choose another place.")
    if path.is_dir():
        raise OutputExistsError(f"{path} is a folder; name a file.")
    if path.exists() and not override:
        raise OutputExistsError(
            f"{path} is there already; choose another name, or replace it with override (--override)."
        )


def quantise(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes (tokens, dim) int8 and scales (tokens,) float32 of (tokens, dim) vectors: codes x scale is the vector.

    The scale of a token is its largest component over 127, so no component is clipped.
    """
    scales = np.abs(vectors).max(axis=1, initial=0) / np.float32(127)
    safe = np.where(scales > 0, scales, np.float32(1))
    return np.rint(vectors / safe[:, None]).astype(np.int8), scales.astype(np.float32)


def dequantise(codes: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors, (tokens, dim) float32, that `quantise` made into codes."""
    vectors: NDArray[np.float32] = codes.astype(np.float32) * scales[:, None]
    return vectors
