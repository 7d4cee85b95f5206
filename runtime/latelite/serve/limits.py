"""What one request may ask for, and how many there may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds that keep a small computer serving whatever it is sent."""

    body: int = 4 << 20
    """Bytes of a request's body."""
    query: int = 2_000
    """Characters of a question."""
    k: int = 100
    """Hits of a search."""
    where: int = 10_000
    """Characters of a condition on metadata, written as JSON."""
    depth: int = 16
    """Nested lists and objects in a condition."""
    texts: int = 1_000
    """Texts of a reranking request."""
    embedded: int = 64
    """Texts of a request for token vectors, some 300 kB of JSON each."""
    listed: int = 200
    """Documents of one page of a list."""
    seconds: float = 10.0
    """For a request to send its body, and then to wait for its turn and be worked on."""
    encoding_seconds: float = 60.0
    """The same for reranking and embedding, which encode many texts."""
    waiting: int = 64
    """Requests of one kind that wait for their turn; the next one is told to come back."""
    connections: int = 512
    """Open connections."""
