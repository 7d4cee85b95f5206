"""Pieces -> passages that the encoder reads whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from latelite.sources.blocks import HEADING, PARAGRAPH, SENTENCE, Block
from latelite.sources.pieces import Count, Piece, pieces

VERSION = 1
"""Raised when the same text is cut elsewhere: collections then read every file again."""

REACH = 0.45
"""Of the longest passage: how far around a boundary nothing better may lie for it to be a cut."""

OVERLAP = 0.15
"""Of the longest passage: how much of the end of one is repeated at the start of the next."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The text of one passage, and the block that it begins in."""

    text: str
    start: Block


def cut(blocks: Iterable[Block], count: Count, *, limit: int, overlap: float = OVERLAP) -> Iterator[Cut]:
    """Passages of at most ``limit`` tokens, cut at headings, paragraphs or sentences where there are any.

    A boundary is a cut when no better one lies within `REACH` of it: a stronger one, or an equal one whose following
    text has a higher hash. A section, or else a paragraph, that fits into one passage is not cut. So a cut depends on
    the text around it and on nothing else, and a paragraph that is put in or taken out moves the cuts beside it and no
    others. Where two cuts are too far apart for one passage the best boundaries between them are taken too. Time is
    linear and memory bounded, however long the text.

    Args:
        blocks: a text in order.
        count: counts tokens as the encoder's tokenizer does.
        limit: tokens of a passage at most.
        overlap: see `OVERLAP`.
    """
    previous: list[Piece] = []
    for group in _groups(pieces(blocks, count, limit=limit), limit):
        lead = _lead(previous, group, int(overlap * limit))
        yield from _checked(lead, group, count, limit)
        previous = group


def _groups(all_pieces: Iterable[Piece], limit: int) -> Iterator[list[Piece]]:
    """Runs of pieces, each a passage by the sum of its tokens."""
    least = int(REACH * limit)
    runs = _runs(all_pieces, limit, least)
    for strength in (PARAGRAPH, HEADING):
        runs = _joined(runs, limit, strength)
    for run in runs:
        yield from _divided(run, limit, least)


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
        while tokens > 3 * limit:  # a text without any better boundary, such as a line that is repeated
            place = _best(held, limit, least)
            yield held[:place]
            held = held[place:]
            tokens = _tokens(held)
    if held:
        yield held


def _joined(runs: Iterable[list[Piece]], limit: int, strength: int) -> Iterator[list[Piece]]:
    """Runs between two boundaries of at least ``strength`` as one, where that is no longer than a passage."""
    waiting: list[list[Piece]] = []
    fits = True
    tokens = 0
    for run in runs:
        if run[0].strength >= strength:
            yield from _together(waiting)
            waiting, tokens, fits = [], 0, True
        tokens += _tokens(run)
        fits = fits and tokens <= limit
        if fits:
            waiting.append(run)
        else:
            yield from waiting
            yield run
            waiting = []
    yield from _together(waiting)


def _together(runs: list[list[Piece]]) -> Iterator[list[Piece]]:
    if runs:
        yield [piece for run in runs for piece in run]


def _tokens(pieces: Iterable[Piece]) -> int:
    return sum(piece.tokens for piece in pieces)


def _with_cuts(all_pieces: Iterable[Piece], reach: int) -> Iterator[tuple[Piece, bool]]:
    """Each piece, and whether the boundary in front of it is the best of all that are within ``reach`` tokens.

    The best of the last ``reach`` tokens is kept in a queue of ever lower boundaries, so that each is looked at once.
    """
    waiting: deque[tuple[int, Piece]] = deque()  # pieces whose surroundings have not all been read, with positions
    best: deque[tuple[int, tuple[int, int]]] = deque()  # positions and orders, each lower than the one before it
    best.append((0, (HEADING + 100, 0)))  # the start of the text
    position = 0
    for piece in all_pieces:
        order = piece.order
        while waiting and position - waiting[0][0] >= reach:
            yield _decided(waiting, best, reach)
        # An earlier boundary wins a draw.
        while best and best[-1][1] < order:
            best.pop()
        best.append((position, order))
        waiting.append((position, piece))
        position += piece.tokens
    end = (HEADING + 100, 0)
    while waiting and position - waiting[0][0] >= reach:
        yield _decided(waiting, best, reach)
    while best and best[-1][1] < end:
        best.pop()
    best.append((position, end))
    while waiting:
        yield _decided(waiting, best, reach)


def _decided(
    waiting: deque[tuple[int, Piece]], best: deque[tuple[int, tuple[int, int]]], reach: int
) -> tuple[Piece, bool]:
    position, piece = waiting.popleft()
    while position - best[0][0] >= reach:
        best.popleft()
    return piece, best[0] == (position, piece.order)


def _divided(held: list[Piece], limit: int, least: int) -> Iterator[list[Piece]]:
    """The pieces between two cuts as one passage, or as few as they need."""
    while len(held) > 1 and _tokens(held) > limit:
        place = _best(held, limit, least)
        yield held[:place]
        held = held[place:]
    yield held


def _best(held: Sequence[Piece], limit: int, least: int) -> int:
    """Index of the best piece to begin a passage with, both sides with ``least`` tokens if possible."""
    total = _tokens(held)
    places, position = [], 0
    for index, piece in enumerate(held):
        if index and position <= limit:
            places.append((min(position, total - position) >= least, *piece.order, -index))
        position += piece.tokens
    return -max(places)[-1] if places else 1


def _lead(previous: Sequence[Piece], group: Sequence[Piece], overlap: int) -> list[Piece]:
    """The last sentences of the passage before, unless a section begins here."""
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


def _checked(lead: list[Piece], group: list[Piece], count: Count, limit: int) -> Iterator[Cut]:
    """The passage, without overlap or in two when the tokens of the whole are more than the sum of its pieces'."""
    text = "".join(piece.text for piece in [*lead, *group])
    bare = text.strip()
    if not bare:
        return
    if count([bare])[0] <= limit:
        start = next(piece for piece in [*lead, *group] if piece.text.strip())
        yield Cut(bare, start.block)
    elif lead:
        yield from _checked([], group, count, limit)
    elif len(group) > 1:
        half = _best(group, _tokens(group) // 2 + 1, 0)
        yield from _checked([], group[:half], count, limit)
        yield from _checked([], group[half:], count, limit)
    elif len(bare) > 1:
        piece = group[0]
        half = len(bare) // 2
        for part in (bare[:half], bare[half:]):
            yield from _checked([], [Piece(part, piece.strength, piece.tokens // 2, piece.block)], count, limit)
    else:
        yield Cut(bare, group[0].block)  # one character of many tokens: the encoder has to cut it
