"""Which modules of which encoder are replaced, and by what. Whatever is not recognised stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from latelite_export.graph.attention import (
    Attended,
    BiasedSelfAttention,
    PositionBias,
    Projections,
    SelfAttention,
)
from latelite_export.graph.embeddings import Embeddings
from latelite_export.graph.feedforward import GatedFeedForward
from latelite_export.graph.windows import RotaryAttention, Window


@dataclass
class Fused:
    """An encoder whose attention needs no mask."""

    backbone: PreTrainedModel
    attended: Attended = field(default_factory=Attended)
    windows: dict[int, Window] = field(default_factory=dict)
    """Half-width -> window."""
    replaced: list[str] = field(default_factory=list)
    """Module paths that were replaced."""

    def measure(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> None:
        """Look at the texts at hand, both int64 (texts, tokens); no mask: every token is attended to."""
        self.attended.measure(attention_mask)
        for window in self.windows.values():
            window.measure(input_ids)

    def replace(self, path: str, module: nn.Module) -> None:
        """Put a module in the place of another."""
        parent, _, name = path.rpartition(".")
        setattr(self.backbone.get_submodule(parent), name, module)
        self.replaced.append(path)

    def projections(self, query: nn.Linear, key: nn.Linear, value: nn.Linear) -> Projections:
        """Three products that share the encoder's count."""
        return Projections(query, key, value, self.attended)


def fuse(backbone: PreTrainedModel) -> Fused | None:
    """A copy of an encoder with the same parameters, made for ONNX Runtime; None where none is known to be exact."""
    rewrite = _REWRITES.get(backbone.config.model_type)
    if rewrite is None or getattr(backbone.config, "position_embedding_type", "absolute") != "absolute":
        return None
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*backbone.parameters(), *backbone.buffers())}
    fused = Fused(deepcopy(backbone, shared))
    rewrite(fused)
    return fused if _complete(fused) else None


def _complete(fused: Fused) -> bool:
    """Whether every layer lost its own attention: one that is left would miss its mask."""
    attention = (SelfAttention, RotaryAttention)
    found = sum(isinstance(module, attention) for module in fused.backbone.modules())
    return found == int(fused.backbone.config.num_hidden_layers)


def _find(backbone: nn.Module, *names: str) -> Iterator[tuple[str, Any]]:
    """Paths and modules whose class has one of these names."""
    found = [(path, module) for path, module in backbone.named_modules() if type(module).__name__ in names]
    return iter(found)


def _bert(fused: Fused) -> None:
    """BERT, RoBERTa and XLM-R."""
    kinds = ("BertSelfAttention", "RobertaSelfAttention", "XLMRobertaSelfAttention")
    for path, old in _find(fused.backbone, *kinds):
        fused.replace(path, SelfAttention(fused.projections(old.query, old.key, old.value), old.num_attention_heads))
    for path, old in _find(fused.backbone, "BertEmbeddings", "RobertaEmbeddings", "XLMRobertaEmbeddings"):
        # A text alone has type 0 throughout.
        rows = old.position_embeddings.weight + old.token_type_embeddings.weight[0]
        padding = getattr(old, "padding_idx", None)
        fused.replace(path, Embeddings(old.word_embeddings, rows.detach(), old.LayerNorm, padding))


def _distilbert(fused: Fused) -> None:
    for path, old in _find(fused.backbone, "MultiHeadSelfAttention"):
        fused.replace(path, SelfAttention(fused.projections(old.q_lin, old.k_lin, old.v_lin), old.n_heads, old.out_lin))
    for path, old in _find(fused.backbone, "Embeddings"):
        fused.replace(path, Embeddings(old.word_embeddings, old.position_embeddings.weight.detach(), old.LayerNorm))


def _mpnet(fused: Fused) -> None:
    for path, old in _find(fused.backbone, "MPNetSelfAttention"):
        projections = fused.projections(old.q, old.k, old.v)
        fused.replace(path, BiasedSelfAttention(projections, old.num_attention_heads, old.o))
    for path, old in _find(fused.backbone, "MPNetEmbeddings"):
        rows = old.position_embeddings.weight.detach()
        fused.replace(path, Embeddings(old.word_embeddings, rows, old.LayerNorm, old.padding_idx))
    for _, encoder in _find(fused.backbone, "MPNetEncoder"):
        positions = fused.backbone.config.max_position_embeddings
        # Keys before and behind: entry `positions + d` is for a key d tokens behind its query.
        buckets = encoder.relative_position_bucket(torch.arange(-positions, positions))
        table = encoder.relative_attention_bias.weight.detach()[buckets].T.contiguous()
        encoder.position_bias = PositionBias(table, fused.attended)
        # The method that layers get their bias from; an attribute of the instance goes before the class's.
        object.__setattr__(encoder, "compute_position_bias", encoder.position_bias)


def _modernbert(fused: Fused) -> None:
    config = fused.backbone.config
    config.reference_compile = False
    for path, old in _find(fused.backbone, "ModernBertAttention"):
        half = old.local_attention[0]
        window = None
        if half >= 0:
            window = fused.windows.setdefault(half, Window(half, old.all_head_size, fused.attended))
        rotation = _rotation(old.rotary_emb, config.max_position_embeddings)
        # Inside a window keys are picked by position, so all of them are needed.
        everyone = Attended()
        query, key, value = _parts(old.Wqkv, 3)
        projections = Projections(query, key, value, fused.attended if window is None else everyone)
        # A new layer of the same weights: the old one carries hooks (see `local_attention`).
        (out,) = _parts(old.Wo, 1)
        fused.replace(path, RotaryAttention(projections, out, rotation, old.num_heads, window))
    for path, old in _find(fused.backbone, "ModernBertMLP"):
        up, gate = _parts(old.Wi, 2)
        fused.replace(path, GatedFeedForward(up, gate, old.act, old.Wo))


def _rotation(rotary: nn.Module, positions: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of every position, (positions, size / 2), as the module itself computes them."""
    with torch.no_grad():
        cos, sin = rotary(torch.zeros(1), torch.arange(positions)[None])
    half = cos.shape[-1] // 2
    return cos[0, :, :half].contiguous(), sin[0, :, :half].contiguous()


def _parts(packed: nn.Linear, count: int) -> list[nn.Linear]:
    """Linear layers for equal parts of a packed one's outputs."""
    outputs = packed.out_features // count
    parts = []
    for index in range(count):
        rows = slice(index * outputs, (index + 1) * outputs)
        part = nn.Linear(packed.in_features, outputs, bias=packed.bias is not None)
        part.weight = nn.Parameter(packed.weight[rows].detach())
        if packed.bias is not None:
            part.bias = nn.Parameter(packed.bias[rows].detach())
        parts.append(part)
    return parts


_REWRITES: dict[str, Callable[[Fused], None]] = {
    "bert": _bert,
    "roberta": _bert,
    "xlm-roberta": _bert,
    "distilbert": _distilbert,
    "mpnet": _mpnet,
    "modernbert": _modernbert,
}
