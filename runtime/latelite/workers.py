"""Threads that encode texts in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from latelite.progress import Progress

Vectors = NDArray[np.float32]


def map_longest_first(
    encode_one: Callable[..., Vectors], texts: Sequence[str], threads: int, bar: Progress
) -> list[Vectors]:
    """Encode all texts on ``threads`` workers, longest first, so that the workers finish at about the same time.

    Each worker tokenizes its own text, while the others run the encoder.

    Args:
        encode_one: called with a text, and with ``alone=True`` if it is the only one.

    Returns:
        The results, in the order of ``texts``.
    """
    result: dict[int, Vectors] = {}
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    if threads == 1 or len(texts) < 2:
        for i in order:
            result[i] = encode_one(texts[i], alone=len(texts) == 1)
            bar.advance()
    else:
        workers = ThreadPoolExecutor(min(threads, len(texts)), thread_name_prefix="latelite-encode")
        try:
            for i, vectors in zip(order, workers.map(encode_one, (texts[i] for i in order)), strict=True):
                result[i] = vectors
                bar.advance()
        finally:
            # After an error or Ctrl-C, do not encode the rest of the list.
            workers.shutdown(cancel_futures=True)
    return [result[i] for i in range(len(texts))]
