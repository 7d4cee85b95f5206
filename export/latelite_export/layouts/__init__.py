"""The layouts in which late-interaction checkpoints are saved, tried in order."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from latelite_export.checkpoint import Checkpoint, Overrides
from latelite_export.errors import UnsupportedCheckpointError
from latelite_export.layouts.pylate import PyLate
from latelite_export.layouts.sentence_transformers import SentenceTransformers
from latelite_export.layouts.stanford import Stanford


class Layout(Protocol):
    """One way to save a checkpoint."""

    name: str
    evidence: str
    """What a folder of this layout has, for the message when none fits."""

    def matches(self, folder: Path) -> bool:
        """Whether ``folder`` is saved in this layout, judged by its small files only."""

    def read(self, folder: Path, checkpoint_id: str, revision: str | None, overrides: Overrides) -> Checkpoint:
        """Resolve everything that ``folder`` says."""


LAYOUTS: tuple[Layout, ...] = (SentenceTransformers(), PyLate(), Stanford())
"""Sentence Transformers 6 writes the same modules.json as PyLate, and one module more: so it is asked first."""


def read(folder: Path, checkpoint_id: str, revision: str | None, overrides: Overrides) -> Checkpoint:
    """Read ``folder`` with the first layout that recognises it.

    Raises:
        UnsupportedCheckpointError: no layout does; the message names those that were tried.
    """
    for layout in LAYOUTS:
        if layout.matches(folder):
            return layout.read(folder, checkpoint_id, revision, overrides)
    tried = "; ".join(f"{layout.name} ({layout.evidence})" for layout in LAYOUTS)
    raise UnsupportedCheckpointError(f"{folder} is not a late-interaction checkpoint in a known layout; tried {tried}.")
