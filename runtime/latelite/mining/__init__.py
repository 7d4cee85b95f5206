"""Training pairs from bare documents: queries that a passage answers, and passages that nearly do."""

from __future__ import annotations

from latelite.mining.pairs import Pair, mine, read_pairs, write_pairs

__all__ = ["Pair", "mine", "read_pairs", "write_pairs"]
