"""Fixtures of the tests of indexes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from index_kinds import KINDS, Make
from latelite.storage import catalogue, writing


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durability is the business of tests/reliability; here it would be nine tenths of the time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(catalogue, "SYNCHRONOUS", "OFF")


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a hundred tokens, and not thousands, become a segment."""
    monkeypatch.setattr(writing, "RECENT_TOKENS", 100)


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Opens the index of this test; options as for the class."""
    return lambda **options: KINDS[request.param](tmp_path, "index", **options)
