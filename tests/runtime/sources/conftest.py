"""A folder of notes, and a collection for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from latelite import Collection
from latelite.models import ColBERT


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("# Bread\n\nBread needs rye flour.\n")
    (folder / "b.md").write_text("The bicycle tyre has to be repaired.\n")
    return folder


@pytest.fixture
def collection(tmp_path: Path, model: ColBERT) -> Collection:
    return Collection(tmp_path / "notes.lt", model)
