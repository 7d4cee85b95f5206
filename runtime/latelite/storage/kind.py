"""What a kind of index is: the sidecar that it keeps beside each segment, and the candidates that it finds with it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from latelite.arrays import Floats, Ints, Mask
from latelite.storage.segments import Segment, SegmentWriter
from latelite.storage.snapshot import OpenSegment, Settings, Snapshot


class IndexKind:
    """Scans everything; kinds that find candidates override the methods, as those in `latelite.indexes` do.

    Settings are resolved in one place: what the caller names, else what the index recorded, else the default.
    """

    name: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]] = {}
    least: ClassVar[Mapping[str, int]] = {}
    """Smallest values of settings, where that is not 1."""

    def __init__(self, store: str | None = "int8", **asked: Any) -> None:
        """``asked``: settings by the names of `defaults`; None takes the recorded one.

        Raises:
            ValueError: a setting is no whole number, or too small.
        """
        self._asked = {name: value for name, value in asked.items() if value is not None}
        for name, value in self._asked.items():
            least = self.least.get(name, 1)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}.")
        self._asked_store = store
        self.store = store or "int8"
        self.settings: dict[str, Any] = {**self.defaults, **self._asked}

    def parameters(self) -> dict[str, Any]:
        """Settings that are recorded."""
        return dict(self.settings)

    def with_settings(self, **settings: int | None) -> Self:
        """This kind with other settings, for one search; None and settings that the kind lacks are passed over."""
        changed = {name: value for name, value in settings.items() if value is not None and name in self.defaults}
        if not changed:
            return self
        other = copy.copy(self)
        other.settings = {**self.settings, **changed}
        return other

    def adopt(self, settings: Settings) -> None:
        """Take over recorded settings where the caller named none; unknown ones, of a newer version, are left alone."""
        if self._asked_store is None:
            self.store = settings.store
        recorded = {name: settings.parameters[name] for name in self.defaults if name in settings.parameters}
        self.settings = {**self.defaults, **recorded, **self._asked}

    def build(self, writer: SegmentWriter, parents: Sequence[OpenSegment], base: Snapshot) -> Any:
        """Add the sidecar of this kind to a new segment whose vectors are written.

        Args:
            parents: the segments that it was merged from, where it was.
            base: the state before.

        Returns:
            What `load` would return for it, where that is at hand; else None.
        """
        return None

    def load(self, segment: Segment) -> Any:
        """Open the sidecar of a segment; None scans the segment."""
        return None

    def verify(self, segment: Segment) -> None:
        """Compare the files beside the arrays with their checksums."""

    def candidates(self, view: Snapshot, query: Floats, k: int, allowed: Sequence[Mask | None]) -> list[Ints | None]:
        """Per part the documents to score, ascending positions; None scores all that are allowed."""
        return [everything_allowed(mask) for mask in allowed]


def everything_allowed(mask: Mask | None) -> Ints | None:
    """The documents to score without an approximation: a list where that is the smaller part, else None for all."""
    if mask is None or 2 * int(mask.sum()) > len(mask):
        return None
    return np.flatnonzero(mask)
