"""ONNX Runtime's fused operators as torch functions: computed plainly in torch, written to the graph as one node.

`forward` is what the operator means, so a rewritten module can be compared with the original before anything is
traced; `symbolic` is what the tracer writes down.
"""

from __future__ import annotations

from typing import Any

import torch

DOMAIN = "com.microsoft"
"""Operators of ONNX Runtime's own; they are in every build of it."""


class MultiHeadAttention(torch.autograd.Function):
    """softmax(scale * q k^T + bias) v for each head, from packed queries, keys and values."""

    @staticmethod
    def forward(
        _: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None, heads: int, scale: float
    ) -> torch.Tensor:
        """q (texts, tokens, heads * size), k and v (texts, keys, heads * size) -> (texts, tokens, heads * size).

        ``bias``: (1 or texts, 1 or heads, tokens, keys). Without it ONNX Runtime takes its flash kernel, which never
        holds a tokens x keys matrix; with a bias or a mask it takes a plain one that does.
        """
        split = [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v)]
        scores = split[0] @ split[1].transpose(2, 3) * scale
        if bias is not None:
            scores = scores + bias
        return (scores.softmax(-1) @ split[2]).transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(g: Any, q: Any, k: Any, v: Any, bias: Any, heads: int, scale: float) -> Any:
        inputs = [q, k, v]
        if bias is not None:
            absent = g.op("prim::Constant")
            absent.setType(torch._C.OptionalType.ofTensor())
            inputs += [absent, absent, bias]
        node = g.op(f"{DOMAIN}::MultiHeadAttention", *inputs, num_heads_i=heads, scale_f=scale)
        return node.setType(q.type())


class SplitPacked(torch.autograd.Function):
    """Queries, keys and values out of one packed product."""

    @staticmethod
    def forward(_: Any, qkv: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(texts, tokens, 3 * hidden) -> three (texts, tokens, hidden)."""
        return tuple(part.clone() for part in qkv.chunk(3, dim=-1))

    @staticmethod
    def symbolic(g: Any, qkv: Any) -> Any:
        return g.op("Split", qkv, axis_i=-1, num_outputs_i=3, outputs=3)


class Part(torch.autograd.Function):
    """Some columns of a packed product, of the leading tokens."""

    @staticmethod
    def forward(_: Any, packed: torch.Tensor, start: int, end: int, count: torch.Tensor) -> torch.Tensor:
        """(texts, tokens, columns) -> (texts, count, end - start); ``count`` int64 (1,)."""
        return packed[:, : count.numpy()[0], start:end].clone()

    @staticmethod
    def symbolic(g: Any, packed: Any, start: int, end: int, count: Any) -> Any:
        ends = g.op("Concat", count, _constant(g, [end]), axis_i=0)
        return g.op("Slice", packed, _constant(g, [0, start]), ends, _constant(g, [1, 2]))


class LeadingRows(torch.autograd.Function):
    """As many rows of a table as a text has tokens."""

    @staticmethod
    def forward(_: Any, table: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """(rows, hidden), (texts, tokens) -> (tokens, hidden)."""
        return table[: ids.shape[1]].clone()

    @staticmethod
    def symbolic(g: Any, table: Any, ids: Any) -> Any:
        count = g.op("Shape", ids, start_i=1, end_i=2)
        return g.op("Slice", table, _constant(g, [0]), count, _constant(g, [0]))


class AttendedKeys(torch.autograd.Function):
    """How many leading tokens are attended to; the same for all texts of a batch."""

    @staticmethod
    def forward(_: Any, attention_mask: torch.Tensor) -> torch.Tensor:
        """int64 (texts, tokens) -> int64 (1,)."""
        return attention_mask.sum(1).max().reshape(1)

    @staticmethod
    def symbolic(g: Any, attention_mask: Any) -> Any:
        # The end of the last attended token of any text, and the fewest that a text attends to: equal for one text,
        # and for several whose attended tokens are the same leading ones. Otherwise the graph must not answer: as a
        # shape, the second does not fit what the first cut out, and Reshape fails.
        last = g.op("ArgMax", attention_mask, axis_i=1, keepdims_i=0, select_last_index_i=1)
        last = g.op("ReduceMax", last, keepdims_i=1)
        count = g.op("Add", last, _constant(g, [1]))
        attended = g.op("ReduceSum", attention_mask, _constant(g, [1]), keepdims_i=0)
        fewest = g.op("ReduceMin", attended, keepdims_i=1)
        cut = g.op("Slice", attention_mask, _constant(g, [0]), count, _constant(g, [1]))
        texts = g.op("Shape", attention_mask, start_i=0, end_i=1)
        checked = g.op("Reshape", cut, g.op("Concat", texts, fewest, axis_i=0))
        return g.op("Shape", checked, start_i=1, end_i=2)


class RotaryEmbedding(torch.autograd.Function):
    """Rotary positions, counted from 0, on every head of a packed tensor."""

    @staticmethod
    def forward(_: Any, packed: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int) -> torch.Tensor:
        """packed (texts, tokens, heads * size), cos and sin (positions, size / 2) -> like packed."""
        split = packed.unflatten(-1, (heads, -1))
        first, second = split.chunk(2, dim=-1)
        c, s = (table[: packed.shape[1], None] for table in (cos, sin))
        return torch.cat((first * c - second * s, second * c + first * s), dim=-1).flatten(2)

    @staticmethod
    def symbolic(g: Any, packed: Any, cos: Any, sin: Any, heads: int) -> Any:
        # One position id means: count up from it.
        node = g.op(
            f"{DOMAIN}::RotaryEmbedding",
            packed,
            _constant(g, [0]),
            cos,
            sin,
            num_heads_i=heads,
            interleaved_i=0,
        )
        return node.setType(packed.type())


class Normalise(torch.autograd.Function):
    """Rows of unit length."""

    @staticmethod
    def forward(_: Any, vectors: torch.Tensor) -> torch.Tensor:
        """(texts, tokens, dim) -> (texts, tokens, dim)."""
        return torch.nn.functional.normalize(vectors, dim=-1, eps=1e-12)

    @staticmethod
    def symbolic(g: Any, vectors: Any) -> Any:
        norm = g.op("ReduceL2", vectors, _constant(g, [-1]), keepdims_i=1)
        norm = g.op("Clip", norm, g.op("Constant", value_t=torch.tensor(1e-12)))
        return g.op("Div", vectors, norm).setType(vectors.type())


def _constant(g: Any, values: list[int]) -> Any:
    return g.op("Constant", value_t=torch.tensor(values, dtype=torch.int64))
