"""A copy of an index, in one state, while it is in use."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from latelite.errors import StoreError
from latelite.files import fsync_folder
from latelite.storage.catalogue import CATALOGUE
from latelite.storage.folders import copy_file, delete_folder, delete_segments, make_folder, refuse_link
from latelite.storage.segments import SEGMENTS
from latelite.storage.storage import Storage

_ATTEMPTS = 10


def copy(storage: Storage, target: Path, others: Iterable[str]) -> None:
    """Copy the index, and ``others`` of the files and folders beside it, into a new folder.

    The catalogue is copied first, in one transaction; then the segments that it names, which no writer changes. Where
    one deletes them meanwhile, all is begun anew. The copy has a temporary name beside ``target``,
    ``.<name>.<random>.partial``, until it is whole and durable: one that is interrupted leaves that behind, to be
    deleted, and nothing at ``target``.

    Raises:
        StoreError: ``target`` exists and is not empty, or the index keeps changing.
        IndexWriteError: disk full or no permission.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"{target} exists already; a backup needs a new folder.")
    with storage.catalogue.translated("write"):
        make_folder(target.absolute().parent)
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        make_folder(partial)
        try:
            _copy_state(storage, partial)
            for name in others:
                source = storage.folder / name
                refuse_link(source)
                if source.is_dir():
                    _copy_files(source, partial / name)
                else:
                    copy_file(source, partial / name)
            fsync_folder(partial)
            with contextlib.suppress(FileNotFoundError):
                target.rmdir()  # an empty folder
            partial.rename(target)
        except BaseException:
            delete_folder(partial)
            raise
        fsync_folder(target.absolute().parent)


def _copy_state(storage: Storage, target: Path) -> None:
    for _ in range(_ATTEMPTS):
        with storage.reading() as connection:
            if connection is None:
                return
            with contextlib.closing(sqlite3.connect(target / CATALOGUE)) as copied:
                connection.backup(copied)
            names = {name for (name,) in connection.execute("SELECT name FROM segments")}
        delete_segments(target / SEGMENTS, names)
        try:
            for name in names:
                if not (target / SEGMENTS / name).exists():
                    _copy_files(storage.folder / SEGMENTS / name, target / SEGMENTS / name)
        except FileNotFoundError:  # merged away since
            delete_segments(target / SEGMENTS, set())
            continue
        return
    raise StoreError(f"{storage.folder} changes faster than it can be copied; try again.")


def _copy_files(source: Path, target: Path) -> None:
    make_folder(target)
    for path in sorted(source.iterdir()):
        refuse_link(path)
        if path.is_file():
            copy_file(path, target / path.name)
    fsync_folder(target)
