"""What a collection answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latelite.explain import Match, best_snippet


@dataclass(frozen=True)
class Document:
    """One stored document. Never changes, so threads may share it."""

    id: int | str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    truncated: bool = False
    """Whether the text is longer than the model's document length, so that meaning was read from its beginning only."""


@dataclass(frozen=True)
class Hit:
    """One search result. Its scores say what they say whatever else was found, and for every query alike.

    A hit never changes, so threads may share it.
    """

    id: int | str
    score: float
    """What hits are ordered by. In hybrid search ``semantic + weight * lexical``, at most 1.35 with the usual weight of
    .35 (the bundle's ``lexical_weight``); else the half that was asked for."""
    text: str
    metadata: Mapping[str, Any]
    semantic: float | None = None
    """MaxSim over the number of query tokens: the mean, over them, of the best cosine in the document; at most 1. None
    in lexical search."""
    lexical: float | None = None
    """BM25 over the most that any document could get for the query, from 0 to 1; 0 where they share no word. None in
    semantic search."""
    matches: Sequence[Match] = field(default_factory=list)
    """Which parts of the text match which words of the query, in the order of the text; with ``explain=True``."""

    def snippet(self, length: int = 160) -> str:
        """The part of the text, at most ``length`` code points, that the most and best matches lie in."""
        start, end = best_snippet(self.text, self.matches, length)
        return self.text[start:end]
