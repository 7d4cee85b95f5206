"""Qdrant: a collection as a folder of Qdrant Edge, or uploaded with any Qdrant client.

Qdrant's ids are integers or UUIDs. A document whose id is a non-negative integer below 2^64 keeps it; any other gets
the UUID (version 5) of its JSON, and every payload holds the id as it was: ``{"id", "text", "metadata"}``.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latelite.collection import Collection
from latelite.errors import LateliteError, OutputExistsError
from latelite.integrations import missing
from latelite.integrations.rows import Dtype, batches, check_outside

VECTOR = "colbert"
_EDGE_CONFIGURATION = "edge_config.json"
_TOKENS_AT_ONCE = 4096
"""Token vectors that are Python floats at once: 17 MB at 128 dimensions."""
_NAMESPACE = uuid.UUID("c5b1f8a2-0d0e-5b6e-9d3f-6a0a5f1b7e11")
"""A random namespace, so that the same id always gets the same UUID."""


def point_id(id: int | str) -> int | str:
    """The id of a document's point."""
    if isinstance(id, int) and 0 <= id < 1 << 64:
        return id
    return str(uuid.uuid5(_NAMESPACE, json.dumps(id)))


def write(collection: Collection, folder: str | Path, *, dtype: Dtype = "float32", override: bool = False) -> int:
    """Write all documents into a new folder of Qdrant Edge, in bounded memory; returns how many.

    Qdrant Edge maps the files that it writes. Tools that count mapped files as the process's memory (RSS) see it grow
    with the folder; these pages are the disk's, which the system takes back when memory is short.

    The folder appears whole or not at all.

    Args:
        override: replace a folder of Qdrant Edge that is there.

    Raises:
        OutputExistsError: the folder is there already and not empty; with ``override``, it is something else; or a
            collection is around it.
        LateliteError: dtype is int8, which Qdrant does not take.
    """
    if dtype == "int8":
        raise LateliteError("Qdrant takes no int8 codes with scales; choose float16 or float32.")
    try:
        from qdrant_edge import (
            Distance,
            EdgeConfig,
            EdgeShard,
            EdgeVectorParams,
            HnswIndexConfig,
            MultiVectorComparator,
            MultiVectorConfig,
            Point,
            UpdateOperation,
            VectorStorageDatatype,
        )
    except ImportError as error:
        raise missing("qdrant-edge-py", "qdrant", error) from error
    target = Path(folder)
    _check_folder(target, override)
    parameters = EdgeVectorParams(
        collection.model.dim,
        Distance.Dot,
        multivector_config=MultiVectorConfig(MultiVectorComparator.MaxSim),
        datatype=VectorStorageDatatype.Float32 if dtype == "float32" else VectorStorageDatatype.Float16,
        hnsw_config=HnswIndexConfig(m=0, ef_construct=4, full_scan_threshold=0),  # MaxSim scans; a graph would not help
    )
    with _new_folder(target) as made:
        shard = EdgeShard.create(str(made), EdgeConfig(vectors={VECTOR: parameters}))
        try:
            documents = 0
            for points in _points(collection):
                given = [Point(id_, {VECTOR: vectors.tolist()}, payload) for id_, vectors, payload in points]
                shard.update(UpdateOperation.upsert_points(given))
                documents += len(given)
            shard.flush()
        finally:
            shard.close()
    return documents


def _check_folder(target: Path, override: bool) -> None:
    check_outside(target)
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not override:
        raise OutputExistsError(
            f"{target} is there already and not an empty folder; choose another one, or replace it with override "
            "(--override)."
        )
    if not (target / _EDGE_CONFIGURATION).is_file():
        raise OutputExistsError(f"{target} is no folder of Qdrant Edge, so it is not replaced; choose another one.")


@contextlib.contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder beside ``target`` that becomes it in the end, in place of what is there; on an error it is removed."""
    made = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    made.mkdir(parents=True)
    try:
        yield made
        if target.exists() and any(target.iterdir()):
            old = made.with_suffix(".old")
            target.rename(old)
            made.rename(target)
            shutil.rmtree(old)
        else:
            made.replace(target)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def upload(collection: Collection, client: Any, name: str) -> int:
    """Create the Qdrant collection ``name`` through a ``qdrant_client.QdrantClient`` and fill it; returns how many."""
    from qdrant_client import models  # whoever has a client has them

    client.create_collection(
        name,
        vectors_config={
            VECTOR: models.VectorParams(
                size=collection.model.dim,
                distance=models.Distance.DOT,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
                hnsw_config=models.HnswConfigDiff(m=0),
            )
        },
    )
    documents = 0
    for points in _points(collection):
        made = [
            models.PointStruct(id=id_, vector={VECTOR: vectors.tolist()}, payload=payload)
            for id_, vectors, payload in points
        ]
        client.upsert(name, points=made, wait=True)
        documents += len(made)
    return documents


def _points(collection: Collection) -> Iterator[list[tuple[int | str, Any, dict[str, Any]]]]:
    for batch in batches(collection, _TOKENS_AT_ONCE):
        yield [
            (point_id(id_), vectors, {"id": id_, "text": text, "metadata": fields})
            for id_, text, fields, vectors in zip(batch.ids, batch.texts, batch.metadata, batch.vectors, strict=True)
        ]
