"""How much memory building takes: no more for a larger corpus."""

from __future__ import annotations

import re
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from latelite import indexes
from latelite.storage.arrayfile import ArrayFile, ArrayWriter


def mapped() -> int:
    """Bytes of files that are resident in this process."""
    found = re.search(r"RssFile:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_release_gives_the_pages_of_a_mapped_file_back(tmp_path: Path) -> None:
    path = tmp_path / "arrays"
    content = np.random.default_rng(0).integers(-127, 128, (1 << 18, 128), np.int8)
    with ArrayWriter(path) as writer:
        writer.add_whole("tokens", content)
    file = ArrayFile(path, writer.layout)
    array = file.array("tokens", (-1, 128), np.int8)
    before = mapped()
    total = array.sum(dtype=np.int64)
    assert mapped() - before > 0.9 * content.nbytes
    file.release()
    assert mapped() - before < 0.1 * content.nbytes
    assert array.sum(dtype=np.int64) == total


def test_compacting_takes_a_few_bytes_a_document(tmp_path: Path) -> None:
    """Not an object of Python's for each of a million documents."""
    peaks: list[int] = []
    for count in (2_000, 2_000, 22_000):  # the first imports what a compaction needs
        vectors = np.random.default_rng(0).standard_normal((count, 1, 1)).astype(np.float32)
        with indexes.Exact(tmp_path, str(len(peaks)), store="float32") as index:
            for some in (slice(0, count // 2), slice(count // 2, count)):
                index.add_documents(range(some.start, some.stop), list(vectors[some]))
            tracemalloc.start()
            try:
                index.compact()
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    assert peaks[2] - peaks[1] < 64 * 20_000
