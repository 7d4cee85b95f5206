"""Fixtures of the tests of indexes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from index_kinds import KINDS, Make


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durability is the business of tests/reliability; here it would be nine tenths of the time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Opens the index of this test; options as for the class."""
    return lambda **options: KINDS[request.param](tmp_path, "index", **options)
