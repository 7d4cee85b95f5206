"""Training pairs from documents without questions: queries, the passages that answer them, and hard negatives."""

from __future__ import annotations

from latelite.mining.pairs import Pair, mine, read_pairs, write_pairs

__all__ = ["Pair", "mine", "read_pairs", "write_pairs"]
