"""Parquet: a collection as a file that other engines read, and back.

Columns: ``id`` (string), ``id_type`` ("str" or "int"), ``text``, ``metadata`` (a JSON object as a string), and token
vectors: ``vectors``, a list of fixed-size lists of float32 or float16; or, as int8, ``codes`` and ``scales``, where a
token's vector is its codes times its scale. The file's metadata has the key ``latelite``: a JSON object with ``dim``,
``dtype``, ``model`` and ``fingerprint``, by which `read` knows the model that made the vectors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.collection import Collection
from latelite.errors import LateliteError
from latelite.files import atomic_write
from latelite.integrations import missing
from latelite.integrations.rows import DTYPES, Batch, Dtype, batches, dequantise, quantise

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise missing("pyarrow", "parquet", error) from error

_KEY = b"latelite"


def schema(collection: Collection, dtype: Dtype = "float32") -> Any:
    """The Arrow schema of a collection's documents."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}.")
    model, dim = collection.model.manifest, collection.model.dim
    fields = [pa.field("id", pa.string()), pa.field("id_type", pa.string())]
    fields += [pa.field("text", pa.string()), pa.field("metadata", pa.string())]
    if dtype == "int8":
        fields += [pa.field("codes", pa.list_(pa.list_(pa.int8(), dim))), pa.field("scales", pa.list_(pa.float32()))]
    else:
        component = pa.float32() if dtype == "float32" else pa.float16()
        fields += [pa.field("vectors", pa.list_(pa.list_(component, dim)))]
    facts = {"dim": dim, "dtype": dtype, "model": model.checkpoint["id"], "fingerprint": model.fingerprint}
    return pa.schema(fields, metadata={_KEY: json.dumps(facts).encode()})


def record_batches(collection: Collection, dtype: Dtype = "float32") -> Iterator[Any]:
    """All documents as Arrow record batches of `schema`."""
    made = schema(collection, dtype)
    for batch in batches(collection):
        yield pa.record_batch(_columns(batch, made, dtype), schema=made)


def write(collection: Collection, path: str | Path, *, dtype: Dtype = "float32") -> int:
    """Write all documents into a Parquet file, in bounded memory; returns how many.

    The file appears whole or not at all.
    """
    target = Path(path)
    documents = 0
    with (
        atomic_write(target) as file,
        pq.ParquetWriter(file, schema(collection, dtype), compression="zstd") as writer,
    ):
        for batch in record_batches(collection, dtype):
            writer.write_batch(batch)
            documents += batch.num_rows
    return documents


def read(path: str | Path, collection: Collection) -> int:
    """Add the documents of a Parquet file that `write` made, without encoding them again; returns how many.

    Raises:
        LateliteError: the file is no such file, or its vectors are of another model.
    """
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise LateliteError(f"{path} is not a Parquet file: {error}.") from error
    with file:
        facts = json.loads((file.schema_arrow.metadata or {}).get(_KEY, b"{}"))
        manifest = collection.model.manifest
        if facts.get("fingerprint") != manifest.fingerprint:
            raise LateliteError(
                f"{path} holds vectors of {facts.get('model')!r}, not of {manifest.checkpoint['id']!r}; "
                "open the collection with that model, or add its texts."
            )
        documents = 0
        for batch in file.iter_batches(batch_size=256):
            rows = _rows(batch, facts["dtype"], facts["dim"])
            collection.add_vectors(rows.ids, rows.texts, rows.vectors, rows.metadata)
            documents += len(rows.ids)
    return documents


def _columns(batch: Batch, made: Any, dtype: Dtype) -> list[Any]:
    columns = [
        pa.array([str(id_) for id_ in batch.ids], pa.string()),
        pa.array([type(id_).__name__ for id_ in batch.ids], pa.string()),
        pa.array(batch.texts, pa.string()),
        pa.array(batch.metadata_json(), pa.string()),
    ]
    lengths = [len(vectors) for vectors in batch.vectors]
    joined = np.concatenate(batch.vectors)
    if dtype != "int8":
        return [*columns, _ragged(joined.astype(dtype), lengths, made.field("vectors").type)]
    codes, scales = quantise(joined)
    offsets = pa.array(np.cumsum([0, *lengths]), pa.int32())
    return [
        *columns,
        _ragged(codes, lengths, made.field("codes").type),
        pa.ListArray.from_arrays(offsets, pa.array(scales)),
    ]


def _ragged(rows: NDArray[Any], lengths: list[int], type: Any) -> Any:
    """(all tokens, dim) rows as a list of fixed-size lists per document."""
    values = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *lengths]), pa.int32()), values).cast(type)


def _rows(batch: Any, dtype: Dtype, dim: int) -> Batch:
    names = batch.column("id").to_pylist()
    kinds = batch.column("id_type").to_pylist()
    column = batch.column("codes" if dtype == "int8" else "vectors")
    offsets = column.offsets.to_numpy()
    flat = column.flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
    rows = dequantise(flat, batch.column("scales").flatten().to_numpy()) if dtype == "int8" else flat
    starts = offsets - offsets[0]
    return Batch(
        ids=[int(name) if kind == "int" else name for name, kind in zip(names, kinds, strict=True)],
        texts=batch.column("text").to_pylist(),
        metadata=[json.loads(fields) for fields in batch.column("metadata").to_pylist()],
        vectors=[rows[a:b].astype(np.float32) for a, b in pairwise(starts)],
    )
