"""ModernBERT: rotary positions, gated feed-forward layers, and local attention in most layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from latelite_export.graph.attention import Attended, attention
from latelite_export.graph.windows import Window
from latelite_export.graph.writer import DOMAIN, UnknownFormError, Writer

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"


def modernbert(w: Writer, config: Any, attended: Attended) -> str:
    """ids -> last hidden state."""
    hidden_size, heads, eps = int(config.hidden_size), int(config.num_attention_heads), float(config.norm_eps)
    size, half = hidden_size // heads, int(config.local_attention) // 2
    kinds, bases = _kinds(config), _bases(config)
    everyone = Attended(w, masked=False)
    window = Window(w, half, hidden_size, attended) if _LOCAL in kinds else None
    words = w.node(
        "Gather", w.weight("backbone.embeddings.tok_embeddings.weight"), "input_ids", name="/backbone/embeddings/Gather"
    )
    hidden = w.norm("backbone.embeddings.norm", words, eps)
    for layer, kind in enumerate(kinds):
        at = f"backbone.layers.{layer}"
        # The first layer has no norm of its own: the embeddings' norm precedes it.
        x = w.norm(f"{at}.attn_norm", hidden, eps) if w.has(f"{at}.attn_norm.weight") else hidden
        q, k, v = (
            w.linear(f"{at}.attn.Wqkv", x, rows=slice(n * hidden_size, (n + 1) * hidden_size), part=part)
            for n, part in enumerate(("query", "key", "value"))
        )
        # Windows gather keys by position, so no key may be dropped here.
        keep = (attended if kind == _GLOBAL else everyone).keep
        tables = _rotation(w, bases[kind], size, int(config.max_position_embeddings), kind)
        q, k, v = _rotate(w, q, tables, heads), keep(_rotate(w, k, tables, heads)), keep(v)
        local = window is not None and kind == _LOCAL
        context = window.attend(q, k, v, heads, size) if local else attention(w, q, k, v, heads, size)  # type: ignore[union-attr]
        hidden = w.node("Add", hidden, w.linear(f"{at}.attn.Wo", context))
        hidden = w.node("Add", hidden, _feedforward(w, at, w.norm(f"{at}.mlp_norm", hidden, eps), config))
    return w.norm("backbone.final_norm", hidden, eps)


def _feedforward(w: Writer, at: str, hidden: str, config: Any) -> str:
    """``out(act(up(x)) * gate(x))``, as two products; transformers has one and splits its output.

    Quantised, the two share their quantised input, so the second product is free and a copy is saved.
    """
    outputs = w.tensor(f"{at}.mlp.Wi.weight").shape[0] // 2
    up = w.linear(f"{at}.mlp.Wi", hidden, rows=slice(0, outputs), part="up")
    gate = w.linear(f"{at}.mlp.Wi", hidden, rows=slice(outputs, 2 * outputs), part="gate")
    return w.linear(f"{at}.mlp.Wo", w.node("Mul", w.activation(config.hidden_activation, up), gate))


def _rotate(w: Writer, hidden: str, tables: tuple[str, str], heads: int) -> str:
    """Apply rotary positions, counted from 0, to every head."""
    # RotaryEmbedding counts up from a single position id.
    return w.node("RotaryEmbedding", hidden, w.ints(0), *tables, domain=DOMAIN, num_heads=heads, interleaved=0)


def _rotation(w: Writer, base: float, size: int, positions: int, kind: str) -> tuple[str, str]:
    """Cosines and sines of every position, (positions, size / 2), as transformers computes them."""
    inverse = 1.0 / (base ** (torch.arange(0, size, 2, dtype=torch.int64).to(torch.float32) / size))
    angles = torch.arange(positions, dtype=torch.float32)[:, None] * inverse[None]
    return (
        w.initializer(f"backbone.rotary.{kind}.cos", angles.cos().numpy()),
        w.initializer(f"backbone.rotary.{kind}.sin", angles.sin().numpy()),
    )


def _kinds(config: Any) -> list[str]:
    """The attention of each layer, full or sliding window; from the keys of transformers 5, else of 4."""
    layers = int(config.num_hidden_layers)
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        every = int(config.global_attn_every_n_layers)
        kinds = [_LOCAL if layer % every else _GLOBAL for layer in range(layers)]
    if len(kinds) != layers or not set(kinds) <= {_GLOBAL, _LOCAL}:
        raise UnknownFormError(f"layer_types {kinds}")
    return list(kinds)


def _bases(config: Any) -> dict[str, float]:
    """Attention of a layer -> base of its rotary positions."""
    rope = getattr(config, "rope_parameters", None)
    if not isinstance(rope, Mapping):
        everywhere = float(config.global_rope_theta)
        local = config.local_rope_theta
        return {_GLOBAL: everywhere, _LOCAL: everywhere if local is None else float(local)}
    bases = {}
    for kind, entry in rope.items():
        if not isinstance(entry, Mapping) or entry.get("rope_type", "default") != "default":
            raise UnknownFormError(f"rope_parameters {dict(rope)}")
        bases[str(kind)] = float(entry["rope_theta"])
    return bases
