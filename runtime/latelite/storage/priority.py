"""Searches go before writing: a long write of one thread rests while other threads of the process search.

Python runs one thread at a time. A search goes back and forth between Python and native code some twenty times, and
each time it comes back it waits for the writer's thread, up to five milliseconds; together that was more than the
search itself takes. So a write works in short slices, and between two of them it waits until the searches that are
running have their answers. Those that begin meanwhile do not hold it up: it goes on, however many there are.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SLICE = 0.01
"""Seconds of processor time that a write works between two rests: more than a single small one takes."""
LONGEST_REST = 0.05
"""Seconds after which it works for another slice, for the sake of searches that ask a great deal."""
_LOOK = 0.0005
"""Seconds between two looks at whether the searches are over."""

_running: set[tuple[int, int, int]] = set()
"""Process, thread and number of each search. A lock would stay locked in a process that forks meanwhile."""
_numbers = itertools.count()


class _Slices(threading.local):
    """The processor time of this thread when its last rest ended."""

    rested = 0.0


_slices = _Slices()


@contextmanager
def searching() -> Iterator[None]:
    """Writes of other threads rest while the block runs."""
    search = (os.getpid(), threading.get_ident(), next(_numbers))
    _running.add(search)
    try:
        yield
    finally:
        _running.discard(search)


def rest() -> None:
    """Let other threads search: to be called between two steps of a long write, as often as one likes."""
    if not _running or time.thread_time() - _slices.rested < SLICE:
        return
    mine = os.getpid(), threading.get_ident()
    others = {search for search in _running.copy() if search[0] == mine[0] and search[1] != mine[1]}
    end = time.monotonic() + LONGEST_REST
    while not others.isdisjoint(_running) and time.monotonic() < end:
        time.sleep(_LOOK)
    _slices.rested = time.thread_time()
