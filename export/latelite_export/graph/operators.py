"""Fused operators as torch functions: computed plainly in torch, written to the graph as a few fast nodes.

`forward` is what the operator means, so a rewritten module can be compared with the original before anything is
traced; `symbolic` is what the tracer writes down. Sizes are given as Python numbers: under the tracer a size taken
from a tensor's shape is a tensor itself.
"""

from __future__ import annotations

from typing import Any

import torch

DOMAIN = "com.microsoft"
"""ONNX Runtime's own operators; they are in every build of it."""

EPSILON = 1e-12
"""Smallest norm that a vector is divided by."""


class Operator(torch.autograd.Function):
    """Base of the operators."""

    @classmethod
    def run(cls, *arguments: Any) -> torch.Tensor:
        """What `forward` gives, remembered by the tracer as one call."""
        result: torch.Tensor = cls.apply(*arguments)  # type: ignore[no-untyped-call]
        return result


class MultiHeadAttention(Operator):
    """softmax(scale * q k^T + bias) v, head by head."""

    @staticmethod
    def forward(
        _: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None, heads: int, scale: float
    ) -> torch.Tensor:
        """q (texts, tokens, heads * size), k and v (texts, keys, heads * size) -> like q.

        ``bias``: (1 or texts, 1 or heads, tokens, keys). Without it ONNX Runtime takes its flash kernel, which never
        holds a tokens x keys matrix; with a bias or a mask it takes a plain one that does: 22 instead of 13 ms for
        one layer of 1024 tokens, 90 instead of 52 for 2048.
        """
        queries, keys, values = (_split(part, heads).transpose(1, 2) for part in (q, k, v))
        scores = queries @ keys.transpose(2, 3) * scale
        if bias is not None:
            scores = scores + bias
        context: torch.Tensor = scores.softmax(-1) @ values
        return context.transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(g: Any, q: Any, k: Any, v: Any, bias: Any, heads: int, scale: float) -> Any:
        inputs = [q, k, v]
        if bias is not None:
            absent = g.op("prim::Constant")
            absent.setType(torch._C.OptionalType.ofTensor())
            inputs += [absent, absent, bias]
        node = g.op(f"{DOMAIN}::MultiHeadAttention", *inputs, num_heads_i=heads, scale_f=scale)
        return node.setType(q.type())


class RotaryEmbedding(Operator):
    """Rotary positions, counted from 0, on every head."""

    @staticmethod
    def forward(_: Any, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int) -> torch.Tensor:
        """hidden (texts, tokens, heads * size), cos and sin (positions, size / 2) -> like hidden."""
        first, second = _split(hidden, heads).chunk(2, dim=-1)
        c, s = (table[: hidden.shape[1], None] for table in (cos, sin))
        return torch.cat((first * c - second * s, second * c + first * s), dim=-1).flatten(2)

    @staticmethod
    def symbolic(g: Any, hidden: Any, cos: Any, sin: Any, heads: int) -> Any:
        # A single position id means: count up from it.
        node = g.op(f"{DOMAIN}::RotaryEmbedding", hidden, _ints(g, 0), cos, sin, num_heads_i=heads, interleaved_i=0)
        return node.setType(hidden.type())


class LeadingRows(Operator):
    """As many rows of a table as a text has tokens."""

    @staticmethod
    def forward(_: Any, table: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """(rows, hidden), (texts, tokens) -> (tokens, hidden)."""
        return table[: ids.shape[1]].clone()

    @staticmethod
    def symbolic(g: Any, table: Any, ids: Any) -> Any:
        return g.op("Slice", table, _ints(g, 0), _size(g, ids, 1), _ints(g, 0))


class AttendedCount(Operator):
    """How many leading tokens are attended to; it must be the same for all texts of a batch."""

    @staticmethod
    def forward(_: Any, attention_mask: torch.Tensor) -> torch.Tensor:
        """int64 (texts, tokens) -> int64 (1,)."""
        return attention_mask.sum(1).max().reshape(1)

    @staticmethod
    def symbolic(g: Any, attention_mask: Any) -> Any:
        # The end of the last attended token of any text, and the fewest that a text attends to: equal for one text,
        # and for several whose attended tokens are the same leading ones. Otherwise the graph must not answer: a
        # shape made of the second does not fit what the first cut out, and Reshape refuses.
        last = g.op("ArgMax", attention_mask, axis_i=1, keepdims_i=0, select_last_index_i=1)
        end = g.op("Add", g.op("ReduceMax", last, keepdims_i=1), _ints(g, 1))
        fewest = g.op("ReduceMin", g.op("ReduceSum", attention_mask, _ints(g, 1), keepdims_i=0), keepdims_i=1)
        cut = g.op("Slice", attention_mask, _ints(g, 0), end, _ints(g, 1))
        checked = g.op("Reshape", cut, g.op("Concat", _size(g, attention_mask, 0), fewest, axis_i=0))
        return _size(g, checked, 1)


class LeadingTokens(Operator):
    """The first tokens of every text."""

    @staticmethod
    def forward(_: Any, hidden: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """(texts, tokens, hidden), int64 (1,) -> (texts, count, hidden)."""
        return hidden[:, : count.numpy()[0]].clone()

    @staticmethod
    def symbolic(g: Any, hidden: Any, count: Any) -> Any:
        return g.op("Slice", hidden, _ints(g, 0), count, _ints(g, 1))


class Blocks(Operator):
    """Tokens gathered into blocks that may overlap; each becomes a text of its own."""

    @staticmethod
    def forward(_: Any, hidden: torch.Tensor, rows: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        """(texts, tokens, hidden), int64 (blocks * size,) and int64 (3,) -1, size, hidden -> (texts * blocks, size,
        hidden).
        """
        return hidden[:, rows].reshape(shape.numpy().tolist())

    @staticmethod
    def symbolic(g: Any, hidden: Any, rows: Any, shape: Any) -> Any:
        return g.op("Reshape", g.op("Gather", hidden, rows, axis_i=1), shape)


class Unblocked(Operator):
    """Blocks put back into texts, less what the last one was filled up with."""

    @staticmethod
    def forward(_: Any, blocks: torch.Tensor, shape: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(texts * blocks, size, hidden), int64 (3,) texts, -1, hidden and int64 (1,) -> (texts, tokens, hidden)."""
        return blocks.reshape(shape.numpy().tolist())[:, : tokens.numpy()[0]].clone()

    @staticmethod
    def symbolic(g: Any, blocks: Any, shape: Any, tokens: Any) -> Any:
        return g.op("Slice", g.op("Reshape", blocks, shape), _ints(g, 0), tokens, _ints(g, 1))


class ScoreBound(Operator):
    """A number that no score of any head exceeds: the longest query times the longest key."""

    @staticmethod
    def forward(_: Any, q: torch.Tensor, k: torch.Tensor, heads: int, scale: float) -> torch.Tensor:
        """(texts, tokens, heads * size) each -> (1,)."""
        queries, keys = (torch.linalg.vector_norm(_split(part, heads), dim=-1).amax((0, 1)) for part in (q, k))
        bound: torch.Tensor = (queries * keys).amax().reshape(1) * scale
        return bound

    @staticmethod
    def symbolic(g: Any, q: Any, k: Any, heads: int, scale: float) -> Any:
        longest = []
        for part in (q, k):
            split = g.op("Reshape", part, _ints(g, 0, 0, heads, -1))
            lengths = g.op("ReduceL2", split, _ints(g, -1), keepdims_i=0)
            longest.append(g.op("ReduceMax", lengths, _ints(g, 0, 1), keepdims_i=0))
        bound = g.op("ReduceMax", g.op("Mul", *longest), keepdims_i=1)
        return g.op("Mul", bound, g.op("Constant", value_t=torch.tensor([scale])))


class RelativeBias(Operator):
    """A bias that depends on the distance from query to key only, spread out to a matrix."""

    @staticmethod
    def forward(_: Any, table: torch.Tensor, hidden: torch.Tensor, count: torch.Tensor | None) -> torch.Tensor:
        """table (heads, 2 * positions), entry positions + d for a key d tokens behind its query -> (1, heads, tokens,
        keys); ``count`` is the number of keys where it is not the number of tokens.
        """
        tokens = hidden.shape[1]
        keys = tokens if count is None else int(count.numpy()[0])
        distances = torch.arange(keys)[None, :] - torch.arange(tokens)[:, None]
        return table[:, distances + table.shape[1] // 2][None]

    @staticmethod
    def symbolic(g: Any, table: Any, hidden: Any, count: Any) -> Any:
        zero, one = _ints(g, 0), _ints(g, 1)
        centre = _ints(g, table.type().sizes()[1] // 2)
        tokens = _size(g, hidden, 1)
        keys = tokens if count is None else count
        scalar = g.op("Constant", value_t=torch.tensor(0)), g.op("Constant", value_t=torch.tensor(1))
        rows, columns = (g.op("Range", scalar[0], g.op("Squeeze", n), scalar[1]) for n in (tokens, keys))
        distances = g.op("Sub", g.op("Unsqueeze", columns, zero), g.op("Unsqueeze", rows, one))
        bias = g.op("Gather", table, g.op("Add", distances, centre), axis_i=1)
        return g.op("Unsqueeze", bias, zero)


class Normalise(Operator):
    """Rows of unit length."""

    @staticmethod
    def forward(_: Any, vectors: torch.Tensor) -> torch.Tensor:
        """(texts, tokens, dim) -> (texts, tokens, dim)."""
        return torch.nn.functional.normalize(vectors, dim=-1, eps=EPSILON)

    @staticmethod
    def symbolic(g: Any, vectors: Any) -> Any:
        # torch's own symbolic spreads the norms out to the vectors' size before it divides.
        norms = g.op("ReduceL2", vectors, _ints(g, -1), keepdims_i=1)
        return g.op("Div", vectors, g.op("Clip", norms, g.op("Constant", value_t=torch.tensor(EPSILON))))


def _split(hidden: torch.Tensor, heads: int) -> torch.Tensor:
    """(texts, tokens, heads * size) -> (texts, tokens, heads, size)."""
    return hidden.reshape(*hidden.shape[:2], heads, -1)


def _ints(g: Any, *values: int) -> Any:
    return g.op("Constant", value_t=torch.tensor(values, dtype=torch.int64))


def _size(g: Any, tensor: Any, axis: int) -> Any:
    """int64 (1,)."""
    return g.op("Shape", tensor, start_i=axis, end_i=axis + 1)
