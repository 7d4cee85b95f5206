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

    def __init__(self, words: nn.Embedding, positions: torch.Tensor, norm: nn.Module, padding: int | None) -> None:
        super().__init__()
        self.word_embeddings = words
        self.positions = nn.Parameter(positions)
        self.norm = norm
        self.padding = padding

    def forward(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """int64 (texts, tokens) -> (texts, tokens, hidden)."""
        words = self.word_embeddings(input_ids)
        if self.padding is None:
            return self.norm(words + LeadingRows.apply(self.positions, input_ids))  # type: ignore[no-any-return]
        # RoBERTa's count: a padding token typed by a user has the padding's position and moves nobody.
        counted = (input_ids != self.padding).to(torch.int64)
        positions = torch.cumsum(counted, dim=1) * counted + self.padding
        return self.norm(words + nn.functional.embedding(positions, self.positions))  # type: ignore[no-any-return]
