"""One long run at a time over one collection: two that index files, or reindex, would encode the same texts."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from latelite.errors import IndexLockedError

logger = logging.getLogger(__name__)

_PAUSE = 0.2


@contextlib.contextmanager
def turn(folder: Path, *, timeout: float | None, on_wait: Callable[[], object]) -> Iterator[None]:
    """Wait until no other process brings the collection in step with files, or reindexes it.

    Reading and other writing go on meanwhile. The lock is the system's, on the folder itself: it leaves no file behind
    and ends with the process, however that ends.

    Args:
        timeout: seconds to wait at most; None waits for as long as it takes.
        on_wait: called once when there is another run.

    Raises:
        IndexLockedError: it is still going on.
    """
    try:
        import fcntl
    except ImportError:  # no Unix
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        start = time.monotonic()
        waited = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waited:
                    on_wait()
                    waited = True
                if timeout is not None and time.monotonic() - start > timeout:
                    raise IndexLockedError(
                        f"Another process is still indexing files into {folder}, or reindexing it, after {timeout:g} "
                        "seconds."
                    ) from None
                time.sleep(_PAUSE)
            except OSError as error:
                # Without locks two runs would only do the same work twice: SQLite keeps what they write in order.
                logger.debug("no lock on %s: %s", folder, error)
                break
        yield
    finally:
        os.close(descriptor)
