"""Masking in LFM2's short convolutions, which mix each token with the ones before it.

In a batch, transformers zeroes unattended tokens before each convolution. For a single text 4.57 and 5.3 do not and
5.24 does; in a batch, 4.57 uses the wrong mask. Checkpoints are trained in batches, so bundles follow 5.3's batches.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


class ShortConvolutions:
    """Zeroes unattended tokens before the convolutions of a backbone, in place of transformers' code."""

    @classmethod
    def of(cls, backbone: PreTrainedModel, *, masked: bool) -> ShortConvolutions | None:
        """Create it if the backbone has such layers; else None.

        Args:
            backbone: the encoder.
            masked: whether texts may have unattended tokens.
        """
        layers = [layer.conv for layer in getattr(backbone, "layers", ()) if hasattr(layer, "conv")]
        return cls(layers, masked=masked) if layers else None

    def __init__(self, layers: list[nn.Module], *, masked: bool) -> None:
        self._masked = masked
        self._attended: torch.Tensor | None = None
        for layer in layers:
            layer.register_forward_pre_hook(self._clear, with_kwargs=True)

    def measure(self, attention_mask: torch.Tensor) -> None:
        """Store which tokens are attended to. ``attention_mask``: int64 (texts, tokens)."""
        self._attended = attention_mask.to(torch.float32).unsqueeze(-1)

    def _clear(
        self, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        (hidden, *others) = inputs or (named.pop("hidden_states"),)
        if self._masked:
            assert self._attended is not None
            hidden = hidden * self._attended
        return (hidden, *others), {**named, "attention_mask": None}
