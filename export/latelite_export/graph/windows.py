"""ModernBERT's attention: rotary positions, and in most layers a window that moves along with the query."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from latelite_export.graph.attention import Attended, Projections
from latelite_export.graph.operators import Blocks, MultiHeadAttention, RotaryEmbedding, ScoreBound, Unblocked

BLOCK = 64
"""Most queries that share a window of keys. One layer, a window of 64 to each side, 512 tokens: blocks of 16 take 3.5
ms, of 32 2.6, of 64 2.5; 2048 tokens: 32, 24 and 15."""

_NEGLIGIBLE = 20.0
"""exp(-20) of the largest weight: less than float32 resolves in a sum."""


class Window:
    """Which keys each block of queries sees; shared by all layers with one width.

    Attention over blocks, as if they were texts of a batch, costs tokens x window where a mask over all pairs costs
    tokens x tokens: 18 instead of 90 ms for one layer of 2048 tokens, and no more than it for 180.

    Args:
        half: tokens that a query sees to each side.
        hidden: columns of queries, keys and values.
        attended: the encoder's count.
    """

    hidden_keys: torch.Tensor
    """(texts * blocks, 1, queries, keys) 1 where a query does not see a key, else 0"""
    query_rows: torch.Tensor
    """(blocks * queries,) positions of the queries, the last block filled up with the text's last token"""
    key_rows: torch.Tensor
    """(blocks * keys,) positions of the keys"""
    query_shape: torch.Tensor
    """(3,) -1, queries of a block, hidden"""
    key_shape: torch.Tensor
    """(3,) -1, keys of a block, hidden"""
    text_shape: torch.Tensor
    """(3,) texts, -1, hidden"""
    tokens: torch.Tensor
    """(1,)"""
    sighted: torch.Tensor | None
    """(tokens, 1) 1 for queries that see an attended key, else 0; None where every token is attended to"""

    def __init__(self, half: int, hidden: int, attended: Attended) -> None:
        self.half = half
        self.hidden = hidden
        self.attended = attended

    def measure(self, input_ids: torch.Tensor) -> None:
        """Lay out the blocks for int64 (texts, tokens), after `Attended.measure`."""
        size = torch._shape_as_tensor(input_ids)
        texts, tokens = size[0], size[1]
        blocks = _divide(tokens + (BLOCK - 1), BLOCK)
        queries = _divide(tokens + blocks - 1, blocks)
        keys = torch.minimum(tokens, queries + 2 * self.half)
        first = torch.arange(blocks)[:, None] * queries  # type: ignore[call-overload]
        query = torch.minimum(first + torch.arange(queries), tokens - 1)  # type: ignore[call-overload]
        # At both ends of the text the window is moved inwards, so that no key has to be made up.
        start = torch.minimum((first - self.half).clamp(min=0), tokens - keys)
        key = start + torch.arange(keys)  # type: ignore[call-overload]
        unseen = (query[:, :, None] - key[:, None]).abs() > self.half
        self.sighted = None
        if self.attended.count is not None:
            unseen = unseen | (key >= self.attended.count)[:, None]
            everyone = torch.arange(tokens)[:, None]  # type: ignore[call-overload]
            self.sighted = (everyone - self.half < self.attended.count).to(torch.float32)
        self.hidden_keys = unseen.to(torch.float32)[:, None].repeat(texts, 1, 1, 1)
        self.query_rows, self.key_rows = query.reshape(-1), key.reshape(-1)
        rest, hidden = torch.tensor(-1), torch.tensor(self.hidden)
        self.query_shape = torch.stack((rest, queries, hidden))
        self.key_shape = torch.stack((rest, keys, hidden))
        self.text_shape = torch.stack((texts, rest, hidden))
        self.tokens = tokens.reshape(1)

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, scale: float) -> torch.Tensor:
        """q, k, v (texts, tokens, hidden) -> (texts, tokens, hidden)."""
        # No two scores are further apart than twice the bound, so this much makes a weight negligible. Any large
        # number would do, but then the weights come out denormal, and products with those take an interrupt each:
        # 2.5 ms become 5.0 in one layer of 512 tokens.
        bias = self.hidden_keys * (-2 * ScoreBound.run(q, k, heads, scale) - _NEGLIGIBLE)
        queries = Blocks.run(q, self.query_rows, self.query_shape)
        keys, values = (Blocks.run(part, self.key_rows, self.key_shape) for part in (k, v))
        context = MultiHeadAttention.run(queries, keys, values, bias, heads, scale)
        joined = Unblocked.run(context, self.text_shape, self.tokens)
        # Without any key the reference answers zero; see `local_attention`.
        return joined if self.sighted is None else joined * self.sighted


class RotaryAttention(nn.Module):
    """In the place of ModernBERT's attention.

    Args:
        projections: queries, keys and values.
        out: the product behind it.
        rotation: cosines and sines, each (positions, size / 2).
        heads: number of heads.
        window: None for attention to all attended tokens.
    """

    cos: torch.Tensor
    sin: torch.Tensor

    def __init__(
        self,
        projections: Projections,
        out: nn.Linear,
        rotation: tuple[torch.Tensor, torch.Tensor],
        heads: int,
        window: Window | None,
    ) -> None:
        super().__init__()
        self.projections = projections
        self.out = out
        self.register_buffer("cos", rotation[0])
        self.register_buffer("sin", rotation[1])
        self.heads = heads
        self.scale = (projections.query.out_features // heads) ** -0.5
        self.window = window

    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor]:
        """(texts, tokens, hidden) -> (texts, tokens, hidden)."""
        q, k, v = self.projections(hidden)
        q, k = (RotaryEmbedding.run(part, self.cos, self.sin, self.heads) for part in (q, k))
        if self.window is None:
            context = MultiHeadAttention.run(q, k, v, None, self.heads, self.scale)
        else:
            context = self.window.attend(q, k, v, self.heads, self.scale)
        return (self.out(context),)


def _divide(numerator: torch.Tensor, denominator: torch.Tensor | int) -> torch.Tensor:
    return torch.div(numerator, denominator, rounding_mode="trunc")
