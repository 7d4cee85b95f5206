"""Hard negatives: passages that the model itself ranks high for a query and that do not answer it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from latelite.collection import Collection
from latelite.mining.pairs import Pair, document_of
from latelite.models import ColBERT
from latelite.results import Hit
from latelite.sources.passage import Passage

logger = logging.getLogger(__name__)

CANDIDATES = 40
"""Number of hits of a query that negatives are drawn from."""
TRUSTED = 0.95
"""A hit that scores more than this share of the answer's score may answer the query, too."""

_STEP = 256
"""Number of passages between two progress reports, and of queries searched at a time, on all cores."""


def add_negatives(
    pairs: Iterable[Pair],
    passages: Sequence[Passage],
    model: ColBERT,
    *,
    count: int = 4,
    seed: int = 0,
    on_encoded: Callable[[int, int], object] = lambda done, total: None,
    on_pair: Callable[[], object] = lambda: None,
) -> Iterator[Pair]:
    """Add up to ``count`` negatives from ``passages`` to each pair.

    The passages are searched as a collection. Hits in the answer's own document, and hits that score nearly as high as
    the answer, are not used. If the answer is not among the hits, negatives are taken from the lower half of them.

    Args:
        model: the model that is to be trained; its search finds the negatives.
        on_encoded: called with the number of passages encoded so far and in all.
        on_pair: called after each pair.
    """
    with (
        tempfile.TemporaryDirectory(prefix="latelite-mine-") as folder,
        Collection(Path(folder) / "passages.lt", model) as collection,
    ):
        for start in range(0, len(passages), _STEP):
            some = passages[start : start + _STEP]
            collection.add(list(range(start, start + len(some))), [each.text for each in some])
            on_encoded(start + len(some), len(passages))
        documents = [document_of(each) for each in passages]
        remaining = enumerate(pairs)
        while asked := list(islice(remaining, _STEP)):
            queries = [pair.query for _, pair in asked]
            found = collection.search_batch(queries, k=CANDIDATES, mode="semantic")
            for (number, pair), hits in zip(asked, found, strict=True):
                yield replace(
                    pair, negatives=_draw(pair, hits, documents, count, np.random.default_rng((seed, number)))
                )
                on_pair()


def _draw(
    pair: Pair, hits: Sequence[Hit], documents: Sequence[str], count: int, draw: np.random.Generator
) -> tuple[str, ...]:
    """Texts of hits that do not answer the query, in the order of the hits."""
    own = [hit.score for hit in hits if documents[int(hit.id)] == pair.document]
    if own:
        limit = TRUSTED * max(own)
        others = [hit for hit in hits if documents[int(hit.id)] != pair.document and hit.score < limit]
    else:
        others = list(hits[len(hits) // 2 :])
    texts = list(dict.fromkeys(hit.text for hit in others if hit.text and hit.text != pair.positive))
    return tuple(texts[at] for at in sorted(draw.permutation(len(texts))[:count].tolist()))
