"""A process of its own that opens a collection and asks it: how long until the first answer, how much memory?

    python benchmarks/process.py COLLECTION PRECISION QUERY...

prints one line of JSON. `started` runs it from outside, so that the interpreter's own start is part of the time. The
marks are ``time.monotonic()``, which is one clock for all processes of a machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

# What /proc/self/status calls it -> what it is, in bytes.
_MEMORY = {"VmRSS": "resident", "RssAnon": "anonymous", "RssFile": "mapped", "VmHWM": "peak"}


def started(collection: Path, precision: str, queries: Sequence[str], *, evict: bool = False) -> dict[str, Any]:
    """Run this file and give its marks as milliseconds from before the process was started.

    Args:
        collection: folder of a `latelite.Collection`.
        precision: graph to load.
        queries: asked one after another.
        evict: ask the system first to forget what it holds of the collection's files, model included, so that they
            are read from the disk. Python's own files stay where they are.

    Returns:
        ``interpreter_ms``, ``imported_ms``, ``opened_ms``, ``first_answer_ms``, all since the start, ``next_ms`` (list,
        time of each further query alone), and ``memory_opened`` and ``memory_asked``, bytes by kind (None where the
        system does not tell).
    """
    if evict:
        forget(path for path in collection.rglob("*") if path.is_file())
    begin = time.monotonic()
    command = [sys.executable, __file__, str(collection), precision, *queries]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    marks: dict[str, Any] = json.loads(done.stdout)
    for name in ("interpreter", "imported", "opened", "first_answer"):
        marks[f"{name}_ms"] = (marks.pop(name) - begin) * 1000
    return marks


def forget(files: Iterable[Path]) -> None:
    """Drop files from the page cache (pages that no process has mapped)."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # only clean pages can be dropped
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def memory(process: int | str = "self") -> dict[str, int] | None:
    """Memory of a process by kind, in bytes; by default of this one."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in lines)
    return {name: int(values[key].split()[0]) * 1024 for key, name in _MEMORY.items() if key in values}


def main(collection: str, precision: str, *queries: str) -> None:
    """What the process does; the import is part of what is timed."""
    interpreter = time.monotonic()
    from latelite import Collection

    imported = time.monotonic()
    with Collection(collection, precision=precision, threads=1) as opened:  # type: ignore[arg-type]
        ready = time.monotonic()
        memory_opened = memory()
        marks: list[float] = []
        for query in queries:
            opened.search(query, k=10)
            marks.append(time.monotonic())
        memory_asked = memory()
    print(
        json.dumps(
            {
                "interpreter": interpreter,
                "imported": imported,
                "opened": ready,
                "first_answer": marks[0],
                "next_ms": [(b - a) * 1000 for a, b in pairwise(marks)],
                "memory_opened": memory_opened,
                "memory_asked": memory_asked,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
