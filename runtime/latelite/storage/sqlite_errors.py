"""SQLite's errors as ours: what the system refused says so, and only damage is called damage."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Literal

from latelite.errors import IndexCorruptError, IndexNotFoundError, IndexWriteError, StoreError

Action = Literal["read", "write"]


def translated(error: sqlite3.Error, path: Path, action: Action) -> Exception:
    """What to raise instead of an error that SQLite met at the database ``path``."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    name = getattr(error, "sqlite_errorname", "SQLITE_CORRUPT")
    primary = code & 0xFF
    unchanged = " What was there before is unchanged." if action == "write" else ""
    said = f"Could not {action} {path}: {error} ({name}).{unchanged}"
    if primary == sqlite3.SQLITE_FULL:
        return system_error(errno.ENOSPC, f"Could not write {path}: the disk is full.{unchanged}")
    if code == sqlite3.SQLITE_READONLY_ROLLBACK:
        return StoreError(
            f"{path} was left in the middle of a write; open it once without read_only=True, with the permission to "
            "write, which restores the state before."
        )
    if primary == sqlite3.SQLITE_READONLY:
        return system_error(errno.EACCES, said)
    if primary == sqlite3.SQLITE_NOMEM:
        return MemoryError(said)
    if primary == sqlite3.SQLITE_IOERR:
        return system_error(errno.EIO, said)
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        reason = _refusal(path)
        if reason == errno.ENOENT:
            return IndexNotFoundError(f"{path} is missing.")
        return system_error(reason, f"Could not {action} {path}: {os.strerror(reason)} ({name}).{unchanged}")
    return IndexCorruptError(f"{path} is damaged: {error} ({name}).")


def _refusal(path: Path) -> int:
    """Why a database cannot be opened, which SQLite does not say; `errno.EACCES` where that is not seen here."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as refused:
        return refused.errno or errno.EACCES
    return errno.EACCES


def system_error(code: int | None, message: str) -> IndexWriteError:
    """An IndexWriteError that knows the system's number."""
    error = IndexWriteError(message)
    error.errno = code
    return error
