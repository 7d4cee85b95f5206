"""The candidates of `latelite.indexes.IVF`: the steps of a query, over all parts of a snapshot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Bytes, Floats, Ints, Mask
from latelite.indexes.ivf.interaction import Closeness
from latelite.indexes.queries import merge_tokens
from latelite.indexes.ranking import nth_largest
from latelite.maxsim import maxsim_rows
from latelite.storage.kind import everything_allowed
from latelite.storage.snapshot import OpenSegment, Recent, Snapshot

_INTERACTING = 2
"""Documents of step 2 per document of step 3."""
_GROWTH = 1.28
"""Documents of step 3 per all documents to the power of 2/3, at least: the more there are, the more come close to the
best. 382 of 5,000, 997 of 22,000."""
_CENTROIDS_PER_PROBE = 400
"""Centroids that one of those that a query token looks into stands for, at most: a larger codebook has finer ones."""
_PER_RESULT = 12
"""Documents of step 3 per result, at least."""
_SCORED_WHOLE = 32_768
"""Tokens of small segments that are scored without steps 1 to 3, which would take as long."""
_RANKED = 28
"""Documents of step 4, at least, and one of as many of step 3."""
_RANKED_PER_RESULT = 2
"""Documents of step 4 per result, at least. Tokens left out in step 3 move a document, by few places."""


def candidates(
    view: Snapshot, query: Floats, k: int, allowed: Sequence[Mask | None], *, n_probe: int, n_candidates: int
) -> list[Ints | None]:
    """Per part the documents to score, ascending; None scores all that are allowed."""
    if all(part.sidecar is None for part in view.parts):
        return [everything_allowed(mask) for mask in allowed]
    query = merge_tokens(query)  # the steps here only propose: all of the query ranks what they leave
    listed = sum(len(part) for part in view.parts if part.sidecar is not None)
    wanted = max(n_candidates, _PER_RESULT * k, math.floor(_GROWTH * listed ** (2 / 3) + 0.5))
    found: list[Ints | None] = []
    reached: list[_Reached] = []
    closeness: dict[str, Closeness] = {}
    permitted: dict[int, Ints] = {}
    budget = _SCORED_WHOLE
    for position, (segment, mask) in enumerate(zip(view.parts, allowed, strict=True)):
        lists = segment.sidecar
        if lists is None:
            found.append(everything_allowed(mask))
            continue
        permitted[position] = np.arange(len(segment)) if mask is None else np.flatnonzero(mask)
        tokens = len(segment.tokens) if mask is None else int(np.diff(segment.offsets)[mask].sum())
        if len(permitted[position]) <= wanted and tokens <= budget:
            budget -= tokens
            found.append(permitted[position])
            continue
        found.append(np.empty(0, np.int64))
        if lists.name not in closeness:
            probed = max(n_probe, len(lists.codebook) // _CENTROIDS_PER_PROBE)
            closeness[lists.name] = Closeness(lists.codebook, query, probed)
        reached.append(_Reached(position, *closeness[lists.name].probe(lists, len(segment), mask)))
    if sum(len(part.numbers) for part in reached) < wanted:  # a narrow filter, or a query that is far from everything
        reached = [part.among(permitted[part.position]) for part in reached]

    near = []
    for part in _best(reached, math.ceil(_INTERACTING * wanted)):
        lists = view.parts[part.position].sidecar
        scores, bytes_ = closeness[lists.name].interact(lists, part.numbers)
        near.append(replace(part, scores=scores, bytes=bytes_))
    rough = []
    for part in _best(near, wanted):
        segment = view.parts[part.position]
        scores = _near_scores(segment, closeness[segment.sidecar.name], query, part)
        rough.append(replace(part, scores=scores))
    for part in _best(rough, max(_RANKED, wanted // _RANKED, math.ceil(_RANKED_PER_RESULT * k))):
        found[part.position] = part.numbers
    return found


@dataclass(frozen=True)
class _Reached:
    """Documents of one part on their way through the steps."""

    position: int
    """Of the part."""
    numbers: Ints
    """(documents,) ascending."""
    scores: Floats
    """(documents,) by the last step."""
    bytes: Bytes | None = None
    """(documents, width) of `Closeness.interact`, after it."""

    def where(self, kept: NDArray[np.bool_]) -> _Reached:
        """Those of the documents that ``kept`` (documents,) says."""
        bytes_ = None if self.bytes is None else self.bytes[kept]
        return _Reached(self.position, self.numbers[kept], self.scores[kept], bytes_)

    def among(self, numbers: Ints) -> _Reached:
        """All of ``numbers``, which hold those of this part; the others come last."""
        scores = np.full(len(numbers), -np.inf, np.float32)
        scores[np.searchsorted(numbers, self.numbers)] = self.scores
        return _Reached(self.position, numbers, scores)


def _near_scores(segment: OpenSegment | Recent, closeness: Closeness, query: Floats, part: _Reached) -> Floats:
    """MaxSim over the tokens that the centroids say may matter, with a query of 7 bits."""
    assert part.bytes is not None
    tokens, counts = closeness.near(segment.sidecar, part.numbers, part.bytes)
    rows = np.repeat(segment.offsets[part.numbers], counts) + tokens
    scores = np.full(len(counts), -np.inf, np.float32)
    some = counts > 0
    scores[some] = maxsim_rows(query, segment.tokens, rows, counts[some], quantisation=segment.quantisation, rough=True)
    return scores


def _best(reached: Sequence[_Reached], wanted: int) -> list[_Reached]:
    """The ``wanted`` best over all segments, still ascending in each; equal scores at the border all stay.

    Segments that are left without documents are left out.
    """
    if sum(len(part.numbers) for part in reached) <= wanted:
        return list(reached)
    scores = np.concatenate([part.scores for part in reached])
    border = nth_largest(scores, wanted)
    kept = (part.where(part.scores >= border) for part in reached)
    return [part for part in kept if len(part.numbers)]
