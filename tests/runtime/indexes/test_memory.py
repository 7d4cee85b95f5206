"""How much memory building takes: no more for a larger corpus."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from latelite.indexes.output import open_array, release, write_whole


def mapped() -> int:
    """Bytes of files that are resident in this process."""
    found = re.search(r"RssFile:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_release_gives_the_pages_of_a_mapped_file_back(tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    rng = np.random.default_rng(0)
    content = rng.integers(-127, 128, (1 << 18, 128), np.int8)
    write_whole(path, content)
    array = open_array(path, shape=(-1, 128), dtype=np.int8)
    before = mapped()
    total = array.sum(dtype=np.int64)
    assert mapped() - before > 0.9 * content.nbytes
    release(array[5:])  # of a view as of the array
    assert mapped() - before < 0.1 * content.nbytes
    assert array.sum(dtype=np.int64) == total


def test_what_is_not_mapped_is_left_alone() -> None:
    array = np.arange(10)
    release(array[2:])
    assert array.sum() == 45
