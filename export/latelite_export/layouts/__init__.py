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
    """How the layout is recognised, for the error message when no layout matches."""

    def matches(self, folder: Path) -> bool:
        """Whether ``folder`` has this layout; reads small files only."""

    def read(self, folder: Path, checkpoint_id: str, revision: str | None, overrides: Overrides) -> Checkpoint:
        """Resolve all settings in ``folder``."""


LAYOUTS: tuple[Layout, ...] = (SentenceTransformers(), PyLate(), Stanford())
"""In the order in which they are tried: Sentence Transformers 6 writes PyLate's modules.json plus one module, so it
comes first."""


def read(folder: Path, checkpoint_id: str, revision: str | None, overrides: Overrides) -> Checkpoint:
    """Read ``folder`` with the first layout that recognises it.

    Raises:
        UnsupportedCheckpointError: no layout does; the message lists those that were tried.
    """
    for layout in LAYOUTS:
        if layout.matches(folder):
            return layout.read(folder, checkpoint_id, revision, overrides)
    tried = "; ".join(f"{layout.name} ({layout.evidence})" for layout in LAYOUTS)
    raise UnsupportedCheckpointError(
        f"{folder} is not a late-interaction checkpoint in a known layout; expected one of: {tried}."
    )
