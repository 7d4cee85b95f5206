"""ModernBERT's gated feed-forward layer."""

from __future__ import annotations

import torch
from torch import nn


class GatedFeedForward(nn.Module):
    """``out(act(up(x)) * gate(x))``: two products where transformers has one and splits its output.

    Quantised, the two share their quantised input, so nothing is paid for a second product and a copy is saved.
    """

    def __init__(self, up: nn.Linear, gate: nn.Linear, act: nn.Module, out: nn.Linear) -> None:
        super().__init__()
        self.up = up
        self.gate = gate
        self.act = act
        self.out = out

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(texts, tokens, hidden) -> (texts, tokens, hidden)."""
        gated: torch.Tensor = self.out(self.act(self.up(hidden)) * self.gate(hidden))
        return gated
