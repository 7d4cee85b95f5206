"""Fixtures of the tests of the storage."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from latelite import Collection
from latelite.models import ColBERT
from latelite.storage import catalogue


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durability is the business of tests/reliability; here it would be nine tenths of the time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(catalogue, "SYNCHRONOUS", "OFF")


@pytest.fixture
def notes(tmp_path: Path, model: ColBERT) -> Collection:
    """A collection of twenty documents, a few of which were removed."""
    collection = Collection(tmp_path / "notes.lt", model)
    collection.add(range(20), [f"text {number}" for number in range(20)])
    collection.compact()
    collection.add(["recent"], ["a recent text"])
    collection.remove([3, 4])
    return collection
