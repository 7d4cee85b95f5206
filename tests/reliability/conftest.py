"""Fixtures of the tests of reliability."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SEED = int(os.environ.get("LATELITE_SEED", "0"))
"""Other cases of the generated ones; with the same number the same ones come again."""


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where there is one: thousands of folders are written and thrown away."""
    root = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="latelite-", dir=root) as folder:
        yield Path(folder)
