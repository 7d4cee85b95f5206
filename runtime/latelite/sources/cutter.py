"""Pieces -> passages that fit into the encoder."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from latelite.sources.blocks import HEADING, PARAGRAPH, SENTENCE, Block
from latelite.sources.pieces import Count, Piece, pieces

VERSION = 1
"""Incremented if the same text gives other passages; collections then read every file again."""

REACH = 0.45
"""A boundary is a cut if there is no better one within this share of the maximum passage length."""

OVERLAP = 0.15
"""Share of the maximum passage length that is repeated from the end of one passage at the start of the next."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The text of a passage, and the block in which it begins."""

    text: str
    start: Block


def cut(blocks: Iterable[Block], count: Count, *, limit: int, overlap: float = OVERLAP) -> Iterator[Cut]:
    """Cut a text into passages of at most ``limit`` tokens, at headings, paragraphs or sentences if possible.

    A boundary is a cut if there is no better one within `REACH`: a stronger one, or one of equal strength whose
    following text has a higher hash. A section or paragraph that fits into one passage is not cut. A cut therefore
    depends on the surrounding text only, and inserting or deleting a paragraph moves only the cuts next to it. If two
    cuts are too far apart for one passage, the best boundaries between them are used as well. Time is linear in the
    length of the text, memory is bounded.

    Args:
        blocks: a text in order.
        count: counts tokens as the encoder's tokenizer does.
        limit: maximum tokens of a passage.
        overlap: see `OVERLAP`.
    """
    previous: list[Piece] = []
    for group in _groups(pieces(blocks, count, limit=limit), limit):
        lead = _lead(previous, group, int(overlap * limit))
        yield from _fit(lead, group, count, limit)
        previous = group


def _groups(all_pieces: Iterable[Piece], limit: int) -> Iterator[list[Piece]]:
    """Runs of pieces that fit into a passage by the sum of their tokens."""
    least = int(REACH * limit)
    runs = _runs(all_pieces, limit, least)
    for strength in (PARAGRAPH, HEADING):
        runs = _join_runs(runs, limit, strength)
    for run in runs:
        yield from _split_run(run, limit, least)


def _runs(all_pieces: Iterable[Piece], limit: int, least: int) -> Iterator[list[Piece]]:
    """The pieces from each cut to the next."""
    held: list[Piece] = []
    tokens = 0
    for piece, is_cut in _with_cuts(all_pieces, least):
        if is_cut and held:
            yield held
            held, tokens = [], 0
        held.append(piece)
        tokens += piece.tokens
        while tokens > 3 * limit:  # no boundary stands out, for example if one line is repeated
            place = _best(held, limit, least)
            yield held[:place]
            held = held[place:]
            tokens = _tokens(held)
    if held:
        yield held


def _join_runs(runs: Iterable[list[Piece]], limit: int, strength: int) -> Iterator[list[Piece]]:
    """Join runs between two boundaries of at least ``strength`` if the result fits into a passage."""
    waiting: list[list[Piece]] = []
    fits = True
    tokens = 0
    for run in runs:
        if run[0].strength >= strength:
            yield from _concatenate(waiting)
            waiting, tokens, fits = [], 0, True
        tokens += _tokens(run)
        fits = fits and tokens <= limit
        if fits:
            waiting.append(run)
        else:
            yield from waiting
            yield run
            waiting = []
    yield from _concatenate(waiting)


def _concatenate(runs: list[list[Piece]]) -> Iterator[list[Piece]]:
    if runs:
        yield [piece for run in runs for piece in run]


def _tokens(pieces: Iterable[Piece]) -> int:
    return sum(piece.tokens for piece in pieces)


def _with_cuts(all_pieces: Iterable[Piece], reach: int) -> Iterator[tuple[Piece, bool]]:
    """Each piece, and whether the boundary before it is the best within ``reach`` tokens.

    A monotonic queue holds the best boundaries of the last ``reach`` tokens, so that each is visited once.
    """
    waiting: deque[tuple[int, Piece]] = deque()  # positions and pieces that need more following text
    best: deque[tuple[int, tuple[int, int]]] = deque()  # positions and orders, each lower than the one before it
    best.append((0, (HEADING + 100, 0)))  # the start of the text
    position = 0
    for piece in all_pieces:
        order = piece.order
        while waiting and position - waiting[0][0] >= reach:
            yield _mark_cuts(waiting, best, reach)
        # In a tie, the earlier boundary wins.
        while best and best[-1][1] < order:
            best.pop()
        best.append((position, order))
        waiting.append((position, piece))
        position += piece.tokens
    end = (HEADING + 100, 0)
    while waiting and position - waiting[0][0] >= reach:
        yield _mark_cuts(waiting, best, reach)
    while best and best[-1][1] < end:
        best.pop()
    best.append((position, end))
    while waiting:
        yield _mark_cuts(waiting, best, reach)


def _mark_cuts(
    waiting: deque[tuple[int, Piece]], best: deque[tuple[int, tuple[int, int]]], reach: int
) -> tuple[Piece, bool]:
    position, piece = waiting.popleft()
    while position - best[0][0] >= reach:
        best.popleft()
    return piece, best[0] == (position, piece.order)


def _split_run(held: list[Piece], limit: int, least: int) -> Iterator[list[Piece]]:
    """Split the pieces between two cuts into as few passages as possible."""
    while len(held) > 1 and _tokens(held) > limit:
        place = _best(held, limit, least)
        yield held[:place]
        held = held[place:]
    yield held


def _best(held: Sequence[Piece], limit: int, least: int) -> int:
    """Index of the best piece to start a passage with; both sides get ``least`` tokens if possible."""
    total = _tokens(held)
    places, position = [], 0
    for index, piece in enumerate(held):
        if index and position <= limit:
            places.append((min(position, total - position) >= least, *piece.order, -index))
        position += piece.tokens
    return -max(places)[-1] if places else 1


def _lead(previous: Sequence[Piece], group: Sequence[Piece], overlap: int) -> list[Piece]:
    """The overlap: the last sentences of the previous passage, unless a section begins here."""
    if not previous or group[0].strength >= HEADING:
        return []
    lead: list[Piece] = []
    tokens = 0
    for index in range(len(previous) - 1, 0, -1):
        tokens += previous[index].tokens
        if tokens > overlap:
            break
        if previous[index].strength >= SENTENCE:
            lead = list(previous[index:])
    return lead


def _fit(lead: list[Piece], group: list[Piece], count: Count, limit: int) -> Iterator[Cut]:
    """The passage; without overlap, or in two, if the whole has more tokens than the sum of its pieces."""
    text = "".join(piece.text for piece in [*lead, *group])
    bare = text.strip()
    if not bare:
        return
    if count([bare])[0] <= limit:
        start = next(piece for piece in [*lead, *group] if piece.text.strip())
        yield Cut(bare, start.block)
    elif lead:
        yield from _fit([], group, count, limit)
    elif len(group) > 1:
        half = _best(group, _tokens(group) // 2 + 1, 0)
        yield from _fit([], group[:half], count, limit)
        yield from _fit([], group[half:], count, limit)
    elif len(bare) > 1:
        piece = group[0]
        half = len(bare) // 2
        for part in (bare[:half], bare[half:]):
            yield from _fit([], [Piece(part, piece.strength, piece.tokens // 2, piece.block)], count, limit)
    else:
        yield Cut(bare, group[0].block)  # one character with many tokens; the encoder truncates it
