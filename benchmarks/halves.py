"""Two halves of a set's questions: settings are chosen on one half, published figures are measured on the other.

A question's half depends only on its id, so that translations of a question, which share an id, are in the same half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

Half = Literal["choice", "report"]
HALVES: tuple[Half, ...] = ("choice", "report")


def half(query: str) -> Half:
    """The half of a query id."""
    return HALVES[hashlib.sha256(query.encode()).digest()[0] & 1]


def of_half(queries: Iterable[str], wanted: Half) -> list[str]:
    """The query ids of one half, in their order."""
    return [query for query in queries if half(query) == wanted]
