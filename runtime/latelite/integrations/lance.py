"""LanceDB: a collection as a table with a multivector column.

LanceDB compares multivectors by cosine only. Token vectors have length 1, so that is MaxSim's dot product; pooled
vectors (``pool_factor`` above 1) are shorter, and LanceDB's scores for them are not latelite's.

To search it: ``lancedb.connect(folder).open_table("documents").search(query_vectors).limit(10)`` with
``query_vectors = model.encode_query(text)``. An index on the column needs ``num_sub_vectors`` of 2 at least
(dimensions / 16 is LanceDB's default), metric "cosine".
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latelite.collection import Collection
from latelite.errors import LateliteError, OutputExistsError
from latelite.integrations import missing
from latelite.integrations.rows import Dtype, check_outside

try:
    import lancedb
    import pyarrow as pa
except ImportError as error:
    raise missing("lancedb", "lance", error) from error

from latelite.integrations.parquet import Origin, record_batches, schema  # names its own extra where pyarrow is missing

TABLE = "documents"


def write(collection: Collection, folder: str | Path, *, dtype: Dtype = "float32", override: bool = False) -> int:
    """Write all documents into the table "documents" of a LanceDB folder, in bounded memory; returns how many.

    The table appears whole or not at all.

    Args:
        override: replace such a table that is there; other tables of the folder stay.

    Raises:
        OutputExistsError: the folder has such a table already, is a file, or a collection is around it.
        LateliteError: dtype is int8, which LanceDB does not search; or see `latelite.integrations.rows.batches`.
    """
    if dtype == "int8":
        raise LateliteError("LanceDB does not search int8 multivectors; choose float16 or float32.")
    check_outside(Path(folder))
    if Path(folder).is_file():
        raise OutputExistsError(f"{folder} is a file; name a folder.")
    new_folder = not Path(folder).exists()
    database = lancedb.connect(str(folder))
    new_table = TABLE not in database.list_tables().tables
    if not new_table and not override:
        raise OutputExistsError(
            f"{folder} has a table {TABLE!r} already; choose another folder, or replace it with override (--override)."
        )
    made = schema(Origin.of(collection, dtype))
    raised: list[Exception] = []

    def rows() -> Iterator[Any]:
        try:
            yield from record_batches(collection, dtype)
        except Exception as error:
            raised.append(error)
            raise

    reader = pa.RecordBatchReader.from_batches(made, rows())
    try:
        table = database.create_table(TABLE, data=reader, schema=made, mode="create" if new_table else "overwrite")
    except BaseException:
        if new_folder or new_table:
            shutil.rmtree(Path(folder) / ("" if new_folder else f"{TABLE}.lance"), ignore_errors=True)
        if raised:  # LanceDB makes a RuntimeError of it, with its traceback as text
            raise raised[0] from None
        raise
    return int(table.count_rows())
