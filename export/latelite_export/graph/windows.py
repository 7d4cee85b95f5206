"""Local attention: each query attends to a window of keys around it."""

from __future__ import annotations

from latelite_export.graph.attention import Attended, attention
from latelite_export.graph.writer import Writer

BLOCK = 64
"""Maximum number of queries that share a window of keys. Measured on one layer with a window of 64 tokens to each side:
blocks of 16, 32 and 64 take 3.5, 2.6 and 2.5 ms at 512 tokens, and 32, 24 and 15 ms at 2048."""

_NEGLIGIBLE = 20.0
"""Score difference that makes a weight negligible: exp(-20) of the largest is below float32's resolution in a sum."""


class Window:
    """The keys that each block of queries attends to; shared by all layers of one window size.

    Blocks become texts of a batch, so attention costs tokens x window; with a mask over all pairs it would cost
    tokens x tokens: 18 instead of 90 ms for one layer of 2048 tokens, and no more at 180.

    Args:
        writer: the graph.
        half: window size to each side of a query, in tokens.
        hidden: columns of queries, keys and values.
        attended: the encoder's attended tokens.
    """

    def __init__(self, writer: Writer, half: int, hidden: int, attended: Attended) -> None:
        w = self._writer = writer
        texts, self._tokens = w.size("input_ids", 0), w.size("input_ids", 1)
        tokens, one, span = self._tokens, w.ints(1), w.ints(half)
        blocks = w.node("Div", w.node("Add", tokens, w.ints(BLOCK - 1)), w.ints(BLOCK))
        queries = w.node("Div", w.node("Sub", w.node("Add", tokens, blocks), one), blocks)
        keys = w.node("Min", tokens, w.node("Add", queries, w.ints(2 * half)))
        first = w.node("Mul", w.node("Unsqueeze", self._range(blocks), one), queries)  # (blocks, 1)
        query = w.node("Min", w.node("Add", first, self._range(queries)), w.node("Sub", tokens, one))
        # At both ends of the text the window is shifted inwards, so that no padding keys are needed.
        start = w.node("Max", w.node("Sub", first, span), w.ints(0))
        start = w.node("Min", start, w.node("Sub", tokens, keys))
        key = w.node("Add", start, self._range(keys))  # (blocks, keys)
        apart = w.node("Sub", w.node("Unsqueeze", query, w.ints(2)), w.node("Unsqueeze", key, one))
        unseen = w.node("Greater", w.node("Abs", apart), span)  # (blocks, queries, keys)
        self._sees_key: str | None = None
        if attended.count is not None:
            beyond = w.node("GreaterOrEqual", key, attended.count)
            unseen = w.node("Or", unseen, w.node("Unsqueeze", beyond, one))
            everyone = w.node("Unsqueeze", self._range(tokens), one)
            sees = w.node("Less", w.node("Sub", everyone, span), attended.count)
            self._sees_key = w.node("Cast", sees, to=1)  # (tokens, 1): 1 for queries that see an attended key
        ones = w.ints(1, 1, 1)
        self._unseen = w.node(
            "Tile",
            w.node("Unsqueeze", w.node("Cast", unseen, to=1), one),
            w.node("Concat", texts, ones, axis=0),
        )  # (texts * blocks, 1, queries, keys): 1 where a query does not see a key
        self._query_rows, self._key_rows = (w.node("Reshape", rows, w.ints(-1)) for rows in (query, key))
        rest, width = w.ints(-1), w.ints(hidden)
        self._query_shape = w.node("Concat", rest, queries, width, axis=0)
        self._key_shape = w.node("Concat", rest, keys, width, axis=0)
        self._text_shape = w.node("Concat", texts, rest, width, axis=0)

    def attend(self, q: str, k: str, v: str, heads: int, size: int) -> str:
        """q, k, v (texts, tokens, hidden) -> (texts, tokens, hidden)."""
        w = self._writer
        # No two scores differ by more than twice the bound, so subtracting this makes a weight negligible. A larger
        # number would give denormal weights, which are slow: 5.0 instead of 2.5 ms for one layer of 512 tokens.
        bound = w.node("Mul", self._score_bound(q, k, heads, size), w.floats(-2.0))
        bias = w.node("Mul", self._unseen, w.node("Sub", bound, w.floats(_NEGLIGIBLE)))
        queries = self._blocks(q, self._query_rows, self._query_shape)
        keys, values = (self._blocks(part, self._key_rows, self._key_shape) for part in (k, v))
        context = attention(w, queries, keys, values, heads, size, bias)
        joined = w.node("Reshape", context, self._text_shape)
        joined = w.node("Slice", joined, w.ints(0), self._tokens, w.ints(1))  # without the last block's padding
        # With an empty window the reference gives zero; see `local_attention`.
        return joined if self._sees_key is None else w.node("Mul", joined, self._sees_key)

    def _range(self, count: str) -> str:
        w = self._writer
        return w.node("Range", w.scalar(0), w.node("Squeeze", count), w.scalar(1))

    def _blocks(self, hidden: str, rows: str, shape: str) -> str:
        """Gather tokens into blocks, which may overlap; each block becomes a text of the batch."""
        return self._writer.node("Reshape", self._writer.node("Gather", hidden, rows, axis=1), shape)

    def _score_bound(self, q: str, k: str, heads: int, size: int) -> str:
        """An upper bound of all scores, (1,): the largest query norm times the largest key norm."""
        w = self._writer
        longest = []
        for part in (q, k):
            split = w.node("Reshape", part, w.ints(0, 0, heads, -1))
            lengths = w.node("ReduceL2", split, w.ints(-1), keepdims=0)
            longest.append(w.node("ReduceMax", lengths, w.ints(0, 1), keepdims=0))
        bound = w.node("ReduceMax", w.node("Mul", *longest), keepdims=1)
        return w.node("Mul", bound, w.floats(size**-0.5))
