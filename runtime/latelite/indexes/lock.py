"""One writer at a time: an advisory lock that the system drops when its process dies."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from latelite.errors import IndexLockedError


@contextlib.contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` for the time of the block.

    The file stays; only the lock on it counts, so a killed process leaves nothing to clean up.

    Raises:
        IndexLockedError: another process, or another index object of this one, holds it.
    """
    with path.open("ab") as file:
        try:
            _acquire(file)
        except OSError as error:
            raise IndexLockedError(
                f"{path.parent} is being written by another process; try again when it has finished."
            ) from error
        try:
            yield
        finally:
            _release(file)


if sys.platform == "win32":
    import msvcrt

    def _acquire(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _release(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _release(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
