"""Whether all that an index holds is what was written."""

from __future__ import annotations

import numpy as np

from latelite.errors import IndexCorruptError, IndexNotFoundError
from latelite.storage.postings import verify_postings
from latelite.storage.segments import Segment
from latelite.storage.storage import Storage


def verify(storage: Storage) -> None:
    """Read everything, and compare it with its checksums and with each other.

    Raises:
        IndexCorruptError, IndexNotFoundError: naming the file, and the documents where it is theirs.
    """
    storage.check_open()
    view = storage.refresh()
    if view.settings is None:
        return
    for part in view.segments:
        files = Segment(part.files.folder, part.entry, dim=view.settings.dim)
        files.verify()
        verify_postings(files)
        storage.kind.verify(files)
        storage.check_vectors(files, np.arange(len(files)))
    with storage.reading() as connection:
        if connection is None:
            raise IndexNotFoundError(f"{storage.catalogue.path} is missing.")
        problems = [problem for (problem,) in connection.execute("PRAGMA integrity_check(3)") if problem != "ok"]
        if problems:
            raise IndexCorruptError(f"{storage.catalogue.path} is damaged: {problems[0]}.")
        if not storage.is_at(connection, view):
            return  # a writer went on; what it wrote is for the next check
        for row in connection.execute("SELECT * FROM recent"):
            storage.check_row(row, (int, bytes, bytes | None), f"the entry of the vectors of document {row[0]}")
        numbers = [number for (number,) in connection.execute("SELECT number FROM documents ORDER BY number")]
        if numbers != view.numbers().tolist():
            raise IndexCorruptError(f"{storage.catalogue.path} is damaged: its documents are not those of the vectors.")
        for _ in storage.checked_rows(connection, numbers, None):
            pass
