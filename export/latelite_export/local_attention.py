"""Tokens with an empty attention window.

An unattended expansion token that is further from the text than the window has no key to attend to. The reference
(transformers 5, SDPA) gives it a context of zeros. transformers 4 adds the lowest float to every score, so that the
token attends equally to all tokens; this module corrects that, and is needed for transformers 4 only. With the usual
window of 64 tokens to each side, only long expanded queries have such tokens.
"""

from __future__ import annotations

from importlib.metadata import version

import torch
from torch import nn
from transformers import PreTrainedModel

from latelite_export.errors import UnsupportedCheckpointError


class EmptyWindows:
    """Zeroes the context of tokens with an empty window, in the local layers of a backbone."""

    @classmethod
    def of(cls, backbone: PreTrainedModel, query_length: int) -> EmptyWindows | None:
        """Create it if the backbone needs it; else None."""
        needed = int(version("transformers").partition(".")[0]) < 5 and 0 < window_radius(backbone) < query_length
        return cls(backbone) if needed else None

    def __init__(self, backbone: PreTrainedModel) -> None:
        self._alive: torch.Tensor | None = None
        self.radius = window_radius(backbone)
        for layer in _local_layers(backbone):
            layer.register_forward_pre_hook(self._zero)

    def measure(self, attention_mask: torch.Tensor) -> None:
        """Find the tokens with an attended token in their window. ``attention_mask``: int64 (texts, tokens)."""
        attended = attention_mask.to(torch.float32).unsqueeze(1)
        alive = nn.functional.max_pool1d(attended, 2 * self.radius + 1, stride=1, padding=self.radius)
        self._alive = alive.transpose(1, 2)  # (texts, tokens, 1)

    def _zero(self, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        assert self._alive is not None
        return (inputs[0] * self._alive, *inputs[1:])


def window_radius(backbone: PreTrainedModel) -> int:
    """Tokens to each side that local layers attend to; 0 if no layer is local."""
    return int(getattr(backbone.config, "local_attention", 0) or 0) // 2


def _local_layers(backbone: PreTrainedModel) -> list[nn.Linear]:
    """The output projection of the attention in each local layer."""
    everywhere = (-1, -1)
    local = [module for module in backbone.modules() if getattr(module, "local_attention", everywhere) != everywhere]
    layers = [out for module in local if isinstance(out := getattr(module, "Wo", None), nn.Linear)]
    if not layers:
        raise UnsupportedCheckpointError(
            f"{type(backbone).__name__} has local attention in a form that the exporter does not know."
        )
    return layers
