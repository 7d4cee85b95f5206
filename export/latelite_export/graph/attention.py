"""Self-attention without a mask: what may not be seen is left out."""

from __future__ import annotations

from latelite_export.graph.writer import DOMAIN, Writer


class Attended:
    """How many leading tokens of the texts at hand are attended to; shared by all layers of an encoder.

    Leaving a key out is what masking it means, only exact and cheaper: the flash kernel takes no mask, and nothing is
    computed for keys that nobody attends to. So one graph serves documents and expanded queries, where masks would
    take two (or an `If`, with every weight packed twice). A document hardly pays for it: 12.7 ms without and 12.6
    with at 180 tokens, 2.18 and 2.29 at 32.

    Args:
        writer: the graph.
        masked: whether texts may have tokens that nobody attends to; they follow the attended ones.
    """

    def __init__(self, writer: Writer, *, masked: bool) -> None:
        self._writer = writer
        self.count: str | None = None
        """int64 (1,); None where every token is attended to."""
        if masked:
            self.count = self._measure()

    def keep(self, hidden: str) -> str:
        """(texts, tokens, hidden) -> (texts, keys, hidden)."""
        if self.count is None:
            return hidden
        w = self._writer
        return w.node("Slice", hidden, w.ints(0), self.count, w.ints(1))

    def _measure(self) -> str:
        """The end of the last attended token of any text, and the fewest that a text attends to: equal for one text,
        and for several whose attended tokens are the same leading ones. Otherwise the graph must not answer: a shape
        made of the second does not fit what the first cut out, and Reshape refuses.
        """
        w, mask = self._writer, "attention_mask"
        last = w.node("ArgMax", mask, axis=1, keepdims=0, select_last_index=1)
        end = w.node("Add", w.node("ReduceMax", last, keepdims=1), w.ints(1))
        fewest = w.node("ReduceMin", w.node("ReduceSum", mask, w.ints(1), keepdims=0), keepdims=1)
        cut = w.node("Slice", mask, w.ints(0), end, w.ints(1))
        checked = w.node("Reshape", cut, w.node("Concat", w.size(mask, 0), fewest, axis=0))
        return w.size(checked, 1)


def attention(writer: Writer, q: str, k: str, v: str, heads: int, size: int, bias: str | None = None) -> str:
    """softmax(q k^T / sqrt(size) + bias) v, head by head.

    Queries, keys and values are three products of one input. Packed into one they need a Split behind them;
    quantised, the three share their quantised input anyway: 7.15 ms packed, 6.96 apart for ten layers of 180 tokens.

    Args:
        writer: the graph.
        q: (texts, tokens, heads * size).
        k: (texts, keys, heads * size).
        v: like ``k``.
        heads: number of heads.
        size: of a head.
        bias: (1 or texts, 1 or heads, tokens, keys). Without it ONNX Runtime takes its flash kernel, which never holds
            a tokens x keys matrix; with a bias or a mask it takes a plain one that does: 22 instead of 13 ms for one
            layer of 1024 tokens, 90 instead of 52 for 2048.

    Returns:
        Like ``q``.
    """
    inputs = [q, k, v] if bias is None else [q, k, v, "", "", bias]
    return writer.node("MultiHeadAttention", *inputs, domain=DOMAIN, num_heads=heads, scale=size**-0.5)


def relative_bias(writer: Writer, table: str, positions: int, attended: Attended) -> str:
    """A bias that depends on the distance from query to key only, spread out to a matrix.

    Args:
        writer: the graph.
        table: (heads, 2 * positions), entry positions + d for a key d tokens behind its query.
        positions: see ``table``.
        attended: the encoder's count.

    Returns:
        (1, heads, tokens, keys).
    """
    w = writer
    tokens = w.size("input_ids", 1)
    keys = attended.count or tokens
    rows, columns = (w.node("Range", w.scalar(0), w.node("Squeeze", n), w.scalar(1)) for n in (tokens, keys))
    distances = w.node("Sub", w.node("Unsqueeze", columns, w.ints(0)), w.node("Unsqueeze", rows, w.ints(1)))
    bias = w.node("Gather", table, w.node("Add", distances, w.ints(positions)), axis=1)
    return w.node("Unsqueeze", bias, w.ints(0))
