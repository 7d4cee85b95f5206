"""Where a document has the terms of a query, without splitting the whole document into terms.

Splitting a text takes a millisecond for some 250 words, and few of them can have a term of the query. Only those are
split: whose letters hold more than half of a word's subwords, or which begin like it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.terms import Terms

Ids = NDArray[Any]
Occurrence = tuple[int, int, list[int]]
"""Position, term, and span in the text. Neighbours in a run of letters have successive positions."""

_RUN = re.compile(r"\S+")
_BEGINNING = 3
"""Letters that a word must begin with to be split, where it does not hold the other's terms."""


def occurrences(
    text: str, terms_of: Callable[[str], Terms], wanted: Ids, words: Sequence[Sequence[str]]
) -> list[Occurrence]:
    """The terms in ``wanted`` where they stand in ``text``, in its order.

    Args:
        terms_of: splits a text into terms; here, one of the text's words is split like the same word elsewhere.
        wanted: (terms,) of the query.
        words: of each word of the query, the word and the parts of it that its subwords stand for.
    """
    forms = [(_plain(word), [_plain(part) for part in parts]) for word, *parts in words]
    runs = [(run.start(), run[0]) for run in _RUN.finditer(text)]
    likely = {run: None for run in dict.fromkeys(run for _, run in runs) if _may_share(_plain(run), forms)}
    found = _terms_of_each(list(likely), terms_of, wanted)
    stride = 1 + max((terms[-1][0] for terms in found.values() if terms), default=0) + 1
    return [
        (place * stride + position, term, [start + first, start + last])
        for place, (start, run) in enumerate(runs)
        if run in found
        for position, term, (first, last) in found[run]
    ]


def _terms_of_each(runs: Sequence[str], terms_of: Callable[[str], Terms], wanted: Ids) -> dict[str, list[Occurrence]]:
    """The terms of each run that are ``wanted``; all runs are split in one call."""
    found: dict[str, list[Occurrence]] = {run: [] for run in runs}
    if not runs:
        return found
    starts = np.cumsum([0, *(len(run) + 1 for run in runs[:-1])])
    terms = terms_of(" ".join(runs))
    kept = np.flatnonzero(np.isin(terms.ids, wanted))
    spans = terms.spans[kept]
    owners = np.searchsorted(starts, spans[:, 1] - 1, side="right") - 1
    inside = np.maximum(spans - starts[owners, None], 0)  # a tokenizer may count the space before a word in
    for position, owner, term, span in zip(
        kept.tolist(), owners.tolist(), terms.ids[kept].tolist(), inside.tolist(), strict=True
    ):
        found[runs[owner]].append((position, term, span))
    return found


def _may_share(run: str, forms: Sequence[tuple[str, list[str]]]) -> bool:
    for word, parts in forms:
        if run.find(word[:_BEGINNING]) >= 0:
            return True
        shared = sum(len(part) for part in parts if part in run)
        if shared and 2 * shared > sum(map(len, parts)):
            return True
    return False


def _plain(text: str) -> str:
    """A word without case and marks, as far as two words must be compared for whether they may share a term."""
    folded = text.casefold()
    if folded.isascii():
        return folded.strip()
    decomposed = unicodedata.normalize("NFKD", folded)
    return "".join(each for each in decomposed if not unicodedata.combining(each)).strip()
