"""Fixtures of the benchmarks' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark_sets import write_set


@pytest.fixture
def retrieval_set(tmp_path: Path) -> Path:
    """A folder in BEIR layout: four documents, two queries."""
    return write_set(tmp_path / "data" / "en-tiny", "en")
