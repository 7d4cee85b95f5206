"""The encoders that have a fused graph, written with the operators that ONNX Runtime's CPU kernels run fastest."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latelite_export.graph.attention import Attended, attention, relative_bias
from latelite_export.graph.modernbert import modernbert
from latelite_export.graph.writer import UnknownFormError, Writer

Config = Any
"""transformers' configuration of the encoder; only keys of its config.json are read."""


@dataclass(frozen=True)
class _Names:
    """Tensor names of a BERT-like encoder."""

    layer: str
    query: str
    key: str
    value: str
    out: str
    attention_norm: str
    up: str
    down: str
    norm: str


_BERT = _Names(
    "encoder.layer.{}",
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)
_DISTILBERT = _Names(
    "transformer.layer.{}",
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention.out_lin",
    "sa_layer_norm",
    "ffn.lin1",
    "ffn.lin2",
    "output_layer_norm",
)
_MPNET = _Names(
    "encoder.layer.{}",
    "attention.attn.q",
    "attention.attn.k",
    "attention.attn.v",
    "attention.attn.o",
    "attention.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)
_ALBERT = _Names(
    "encoder.albert_layer_groups.{}",
    "attention.query",
    "attention.key",
    "attention.value",
    "attention.dense",
    "attention.LayerNorm",
    "ffn",
    "ffn_output",
    "full_layer_layer_norm",
)


def _layer(
    w: Writer, names: _Names, path: str, hidden: str, config: Config, act: str, eps: float, attended: Attended,
    bias: str | None = None,
) -> str:  # fmt: skip
    """Attention and feed-forward layer, each followed by residual and norm."""
    at = f"backbone.{path}"
    heads = int(config.num_attention_heads)
    size = w.tensor(f"{at}.{names.query}.weight").shape[0] // heads
    q = w.linear(f"{at}.{names.query}", hidden)
    k, v = (attended.keep(w.linear(f"{at}.{name}", hidden)) for name in (names.key, names.value))
    context = w.linear(f"{at}.{names.out}", attention(w, q, k, v, heads, size, bias))
    hidden = w.norm(f"{at}.{names.attention_norm}", w.node("Add", context, hidden), eps)
    inner = w.activation(act, w.linear(f"{at}.{names.up}", hidden))
    return w.norm(f"{at}.{names.norm}", w.node("Add", w.linear(f"{at}.{names.down}", inner), hidden), eps)


def _embeddings(w: Writer, eps: float, *, types: bool = True, padding: int | None = None) -> str:
    """Word, position and type embeddings as one lookup and one addition, normalised.

    Args:
        w: the graph.
        eps: epsilon of the norm.
        types: whether there are type embeddings; a single text has type 0 throughout, so that row is added at export.
        padding: the padding id if positions start after it (RoBERTa); None if they start at 0.
    """
    at = "backbone.embeddings"
    rows = w.tensor(f"{at}.position_embeddings.weight")
    if types:
        rows = rows + w.tensor(f"{at}.token_type_embeddings.weight")[0]
    table = w.initializer(f"{at}.positions", rows)
    if padding is None:
        positions = w.node("Slice", table, w.ints(0), w.size("input_ids", 1), w.ints(0))
    else:
        # As RoBERTa counts: a padding token typed by a user gets the padding position and does not shift the others.
        typed = w.node("Equal", "input_ids", w.ints(padding))
        counted = w.node("Cast", w.node("Not", typed), to=7)
        numbers = w.node("Mul", w.node("CumSum", counted, w.scalar(1)), counted)
        positions = w.node("Gather", table, w.node("Add", numbers, w.ints(padding)))
    words = w.node("Gather", w.weight(f"{at}.word_embeddings.weight"), "input_ids", name=f"/{at}/Gather")
    return w.norm(f"{at}.LayerNorm", w.node("Add", words, positions), eps)


def _bert(w: Writer, config: Config, attended: Attended) -> str:
    """BERT, and Electra, whose embeddings may be narrower than its layers."""
    eps = float(config.layer_norm_eps)
    hidden = _embeddings(w, eps)
    if w.has("backbone.embeddings_project.weight"):
        hidden = w.linear("backbone.embeddings_project", hidden)
    for layer in range(int(config.num_hidden_layers)):
        hidden = _layer(w, _BERT, _BERT.layer.format(layer), hidden, config, config.hidden_act, eps, attended)
    return hidden


def _roberta(w: Writer, config: Config, attended: Attended) -> str:
    """RoBERTa, CamemBERT and XLM-R."""
    eps = float(config.layer_norm_eps)
    hidden = _embeddings(w, eps, padding=int(config.pad_token_id))
    for layer in range(int(config.num_hidden_layers)):
        hidden = _layer(w, _BERT, _BERT.layer.format(layer), hidden, config, config.hidden_act, eps, attended)
    return hidden


def _distilbert(w: Writer, config: Config, attended: Attended) -> str:
    eps = 1e-12
    hidden = _embeddings(w, eps, types=False)
    for layer in range(int(config.num_hidden_layers)):
        path = _DISTILBERT.layer.format(layer)
        hidden = _layer(w, _DISTILBERT, path, hidden, config, config.activation, eps, attended)
    return hidden


def _mpnet(w: Writer, config: Config, attended: Attended) -> str:
    eps = float(config.layer_norm_eps)
    hidden = _embeddings(w, eps, types=False, padding=1)
    positions = int(config.max_position_embeddings)
    table = w.tensor("backbone.encoder.relative_attention_bias.weight")[_buckets(positions, config)].T
    name = w.initializer("backbone.encoder.position_bias", table)
    bias = relative_bias(w, name, positions, attended)
    for layer in range(int(config.num_hidden_layers)):
        path = _MPNET.layer.format(layer)
        hidden = _layer(w, _MPNET, path, hidden, config, config.hidden_act, eps, attended, bias)
    return hidden


def _albert(w: Writer, config: Config, attended: Attended) -> str:
    """ALBERT: narrow embeddings, and layers that share their weights."""
    eps = float(config.layer_norm_eps)
    hidden = _embeddings(w, eps)
    hidden = w.linear("backbone.encoder.embedding_hidden_mapping_in", hidden)
    layers, groups = int(config.num_hidden_layers), int(config.num_hidden_groups)
    for layer in range(layers):
        group = _ALBERT.layer.format(int(layer / (layers / groups)))
        for inner in range(int(config.inner_group_num)):
            path = f"{group}.albert_layers.{inner}"
            hidden = _layer(w, _ALBERT, path, hidden, config, config.hidden_act, eps, attended)
    return hidden


def _buckets(positions: int, config: Config) -> NDArray[np.int64]:
    """MPNet's bucket of every distance from ``-positions`` up, (2 * positions,), as in MPNet's own code."""
    behind, farthest = torch.arange(-positions, positions), 128
    half = int(config.relative_attention_num_buckets) // 2
    exact = half // 2
    apart = behind.abs()
    coarse = torch.log(apart.float() / exact) / math.log(farthest / exact) * (half - exact)
    coarse = torch.where(apart < exact, 0.0, coarse).to(torch.long) + exact
    bucket = torch.where(apart < exact, apart, torch.minimum(coarse, torch.tensor(half - 1)))
    return np.asarray((bucket + (behind > 0) * half).numpy(), np.int64)


_ENCODERS: dict[str, Callable[[Writer, Config, Attended], str]] = {
    "albert": _albert,
    "bert": _bert,
    "camembert": _roberta,
    "distilbert": _distilbert,
    "electra": _bert,
    "modernbert": modernbert,
    "mpnet": _mpnet,
    "roberta": _roberta,
    "xlm-roberta": _roberta,
}


def layers(w: Writer, config: Config, attended: Attended) -> str:
    """Write an encoder, from ids to the last hidden state (texts, tokens, hidden).

    Raises:
        UnknownFormError: it has no fused form.
    """
    write = _ENCODERS.get(config.model_type)
    if write is None:
        raise UnknownFormError(f"the architecture {config.model_type}")
    if (getattr(config, "position_embedding_type", None) or "absolute") != "absolute":
        raise UnknownFormError(f"position embeddings of type {config.position_embedding_type}")
    return write(w, config, attended)
