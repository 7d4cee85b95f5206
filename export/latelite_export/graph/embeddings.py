"""Word, position and type embeddings as one lookup and one addition."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from latelite_export.graph.operators import LeadingRows


class Embeddings(nn.Module):
    """Token rows plus position rows, normalised.

    Args:
        words: (vocabulary, hidden) table.
        positions: (positions, hidden) table with the row of type 0 added in: a text alone has no other type.
        norm: the layer norm.
        padding: where positions are counted behind a padding id, that id; None where they are counted from 0.
    """

    def __init__(
        self, words: nn.Embedding, positions: torch.Tensor, norm: nn.Module, padding: int | None = None
    ) -> None:
        super().__init__()
        self.word_embeddings = words
        self.positions = nn.Parameter(positions)
        self.norm = norm
        self.padding = padding

    def forward(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """int64 (texts, tokens) -> (texts, tokens, hidden)."""
        if self.padding is None:
            positions = LeadingRows.run(self.positions, input_ids)
        else:
            positions = nn.functional.embedding(self._numbers(input_ids, self.padding), self.positions)
        summed: torch.Tensor = self.norm(self.word_embeddings(input_ids) + positions)
        return summed

    @staticmethod
    def _numbers(input_ids: torch.Tensor, padding: int) -> torch.Tensor:
        # RoBERTa's count: a padding token that a user typed has the padding's position, and moves nobody.
        counted = (input_ids != padding).to(torch.int64)
        return torch.cumsum(counted, dim=1) * counted + padding
