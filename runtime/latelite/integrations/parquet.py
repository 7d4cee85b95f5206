"""Parquet: a collection as a file that other engines read, and back.

Columns: ``id`` (string), ``id_type`` ("str" or "int"), ``text``, ``metadata`` (a JSON object as a string), and token
vectors: ``vectors``, a list of fixed-size lists of float32 or float16; or, as int8, ``codes`` and ``scales``, where a
token's vector is its codes times its scale. The file's metadata has the key ``latelite``: a JSON object with the fields
of `Origin`, by which `read` knows the model that made the vectors.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.collection import Collection
from latelite.errors import LateliteError
from latelite.files import atomic_write
from latelite.integrations import missing
from latelite.integrations.rows import DTYPES, Batch, Dtype, batches, check_file, dequantise, quantise
from latelite.models import ColBERT

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise missing("pyarrow", "parquet", error) from error

_KEY = b"latelite"


@dataclass(frozen=True)
class Origin:
    """Where the token vectors of a file come from."""

    dim: int
    dtype: Dtype
    model: str
    """Id of the checkpoint, for messages."""
    fingerprint: str
    """Of the model; other models' vectors do not compare with these."""
    pool_factor: int
    """Token pooling of the documents."""

    @classmethod
    def of(cls, collection: Collection, dtype: Dtype) -> Origin:
        """Of a collection's documents."""
        model = collection.model.manifest
        return cls(collection.model.dim, dtype, model.checkpoint["id"], model.fingerprint, collection.pool_factor)

    @classmethod
    def read(cls, path: str | Path) -> Origin:
        """Of a file that `write` made.

        Raises:
            FileNotFoundError: there is no such file.
            LateliteError: it is no such file.
        """
        with _opened(path) as file:
            try:
                content = json.loads((file.schema_arrow.metadata or {})[_KEY])
                known = cls(**{field.name: content[field.name] for field in fields(cls)})
            except (KeyError, TypeError, ValueError) as error:
                raise LateliteError(
                    f"{path} does not say which model its vectors are of: it was not written by latelite."
                ) from error
            columns = {"id", "id_type", "text", "metadata"}
            columns |= {"codes", "scales"} if known.dtype == "int8" else {"vectors"}
            if known.dtype not in DTYPES or not columns <= set(file.schema_arrow.names):
                raise LateliteError(f"{path} lacks columns that its metadata promises: it was changed since.")
        return known

    def check_fits(self, path: str | Path, model: ColBERT) -> None:
        """Raise LateliteError when the vectors are not of ``model``."""
        manifest = model.manifest
        if (self.fingerprint, self.dim) != (manifest.fingerprint, model.dim):
            raise LateliteError(
                f"{path} holds vectors of the model {self.model!r}, which is not the given "
                f"{manifest.checkpoint['id']!r}; name the bundle that they were made with, or index the texts again."
            )


def files(path: str | Path) -> list[Path]:
    """The Parquet files that are meant: the file, or those in a folder, sorted by name.

    Raises:
        FileNotFoundError: there is none.
    """
    source = Path(path)
    found = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    if not found or not source.exists():
        raise FileNotFoundError(f"{source} does not exist." if not source.exists() else f"{source} holds no *.parquet.")
    return found


def count(path: str | Path) -> int:
    """Documents in a Parquet file, or in those of a folder."""
    total = 0
    for each in files(path):
        with _opened(each) as file:
            total += file.metadata.num_rows
    return total


def schema(origin: Origin) -> Any:
    """The Arrow schema of documents with token vectors."""
    if origin.dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {origin.dtype!r}.")
    dim, dtype = origin.dim, origin.dtype
    columns = [pa.field("id", pa.string()), pa.field("id_type", pa.string())]
    columns += [pa.field("text", pa.string()), pa.field("metadata", pa.string())]
    if dtype == "int8":
        columns += [pa.field("codes", pa.list_(pa.list_(pa.int8(), dim))), pa.field("scales", pa.list_(pa.float32()))]
    else:
        component = pa.float32() if dtype == "float32" else pa.float16()
        columns += [pa.field("vectors", pa.list_(pa.list_(component, dim)))]
    return pa.schema(columns, metadata={_KEY: json.dumps(asdict(origin)).encode()})


def record_batches(collection: Collection, dtype: Dtype = "float32") -> Iterator[Any]:
    """All documents as Arrow record batches of `schema`."""
    made = schema(Origin.of(collection, dtype))
    return (record_batch(batch, made, dtype) for batch in batches(collection))


def record_batch(batch: Batch, made: Any, dtype: Dtype) -> Any:
    """Documents as one Arrow record batch of the schema ``made``."""
    return pa.record_batch(_columns(batch, made, dtype), schema=made)


def write(collection: Collection, path: str | Path, *, dtype: Dtype = "float32", override: bool = False) -> int:
    """Write all documents into a Parquet file, in bounded memory; returns how many.

    The file appears whole or not at all.

    Args:
        override: replace a file that is there.

    Raises:
        OutputExistsError: there is something at ``path`` already, or a collection around it.
        FileNotFoundError: its folder does not exist.
    """
    made = schema(Origin.of(collection, dtype))
    check_file(Path(path), override)
    return write_batches(record_batches(collection, dtype), path, made)


def write_batches(record_batches: Iterator[Any], path: str | Path, made: Any) -> int:
    """Write record batches of the schema ``made`` into a Parquet file, in place of one that is there."""
    documents = 0
    with atomic_write(Path(path)) as file, pq.ParquetWriter(file, made, compression="zstd") as writer:
        for batch in record_batches:
            writer.write_batch(batch)
            documents += batch.num_rows
    return documents


def read(path: str | Path, collection: Collection, *, on_progress: Callable[[int], object] | None = None) -> int:
    """Add the documents of a Parquet file that `write` made, without encoding them again; returns how many.

    An id that is there already gets the file's text, metadata and vectors.

    Args:
        path: the file, or a folder of such files.
        on_progress: called with the number of documents added since its last call.

    Raises:
        FileNotFoundError: there is no such file.
        LateliteError: the file is no such file, is damaged, or its vectors are of another model; what was added before
            the damaged place stays.
    """
    found = files(path)
    origins = [Origin.read(each) for each in found]
    for each, origin in zip(found, origins, strict=True):
        origin.check_fits(each, collection.model)
    documents = 0
    for each, origin in zip(found, origins, strict=True):
        for rows in _batches_of(each, origin):
            collection.add_vectors(rows.ids, rows.texts, rows.vectors, rows.metadata)
            documents += len(rows.ids)
            if on_progress is not None:
                on_progress(len(rows.ids))
    return documents


def _batches_of(path: Path, origin: Origin) -> Iterator[Batch]:
    with _opened(path) as file:
        for batch in file.iter_batches(batch_size=256):
            try:
                yield _rows(batch, origin.dtype, origin.dim)
            except (TypeError, ValueError) as error:
                raise LateliteError(f"{path} is damaged: {error}.") from error


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """A Parquet file; whatever is wrong with it is said with its name."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is no file.")
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        problem = str(error).rstrip(".")
        raise LateliteError(f"{path} is no Parquet file, or damaged: {problem}.") from error


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
