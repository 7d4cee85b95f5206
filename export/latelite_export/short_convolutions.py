"""LFM2's short convolutions, which reach over the last tokens: what they see of an unattended expansion token.

In a batch, transformers clears unattended tokens in front of each convolution; for a text alone, 4.57 and 5.3 do not,
5.24 does. In a batch, 4.57 takes the wrong mask. Checkpoints are trained in batches, so the bundle does as 5.3 does
there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


class ShortConvolutions:
    """Clears unattended tokens in front of the convolutions of a backbone, instead of transformers."""

    @classmethod
    def of(cls, backbone: PreTrainedModel, *, masked: bool) -> ShortConvolutions | None:
        """For a backbone that has such layers; None for all others.

        Args:
            backbone: the encoder.
            masked: whether tokens may be unattended.
        """
        layers = [layer.conv for layer in getattr(backbone, "layers", ()) if hasattr(layer, "conv")]
        return cls(layers, masked=masked) if layers else None

    def __init__(self, layers: list[nn.Module], *, masked: bool) -> None:
        self._masked = masked
        self._attended: torch.Tensor | None = None
        for layer in layers:
            layer.register_forward_pre_hook(self._clear, with_kwargs=True)

    def measure(self, attention_mask: torch.Tensor) -> None:
        """Remember which tokens are attended to; int64 (texts, tokens)."""
        self._attended = attention_mask.to(torch.float32).unsqueeze(-1)

    def _clear(
        self, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        (hidden, *others) = inputs or (named.pop("hidden_states"),)
        if self._masked:
            assert self._attended is not None
            hidden = hidden * self._attended
        return (hidden, *others), {**named, "attention_mask": None}
