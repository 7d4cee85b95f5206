"""Blocks -> pieces: the smallest units that passages are made of, with token counts."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from latelite.sources.blocks import ANYWHERE, LINE, SENTENCE, WORD, Block

Count = Callable[[Sequence[str]], list[int]]
"""Counts the tokens of each text, without special tokens."""

LARGE = 1 / 4
"""Sentences longer than this share of the maximum passage length are split further."""

_TOGETHER = 256  # number of blocks tokenized in one call
_LAST_MARKS = r"[\"'”’»)\]）」』】》]*"
_SENTENCE_END = re.compile(rf"(?<=[.!?…:;؟۔।]){_LAST_MARKS}\s+|[。！？；…]{_LAST_MARKS}\s*(?=\S)")
_LINE_ENDS_SENTENCE = re.compile(rf"[.!?…:;؟۔।。！？；]{_LAST_MARKS}\s*$")
_WORD_START = re.compile(r"(?<=\s)(?=\S)|(?<=[、，])(?=\S)")
_ITEM = re.compile(r"\s*(?:[-*+•·]|\d{1,3}[.)]|[|>])\s")
_LONGEST_RUN = 64  # maximum characters of a piece without any boundary


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, a line, or a part of one."""

    text: str
    strength: int
    tokens: int
    block: Block

    @property
    def order(self) -> tuple[int, int]:
        """Rank of the boundary before it: by strength, then by a hash of the text."""
        return self.strength, zlib.crc32(self.text.strip().encode("utf-8", "surrogatepass"))


def pieces(blocks: Iterable[Block], count: Count, *, limit: int) -> Iterator[Piece]:
    """Split blocks into sentences; sentences that are long for ``limit`` tokens are split at words, or anywhere.

    Consecutive empty lines become one.
    """
    large = int(LARGE * limit)
    group: list[tuple[str, int, Block]] = []
    ended = True
    blank = False
    for block in blocks:
        if not block.text.strip():
            if not blank and group:
                text, strength, owner = group[-1]
                group[-1] = (f"{text}\n", strength, owner)
            blank = True
            continue
        blank = False
        strength = block.strength
        if strength == LINE and (ended or _ITEM.match(block.text)):
            strength = SENTENCE
        for text in _sentences(block.text):
            group.append((text, strength, block))
            strength = SENTENCE
        ended = _LINE_ENDS_SENTENCE.search(block.text[-_LONGEST_RUN:]) is not None
        if len(group) > _TOGETHER:
            yield from _counted(group[:-1], count, large)
            group = group[-1:]
    yield from _counted(group, count, large)


def _counted(group: Sequence[tuple[str, int, Block]], count: Count, large: int) -> Iterator[Piece]:
    # Every piece counts at least a little, so that text without tokens cannot accumulate between two cuts.
    for (text, strength, block), tokens in zip(group, count([text for text, _, _ in group]), strict=True):
        if tokens <= large:
            yield Piece(text, strength, max(tokens, 1), block)
            continue
        parts = _words(text)
        for (part, inner), part_tokens in zip(parts, count([part for part, _ in parts]), strict=True):
            yield Piece(part, strength if inner is None else inner, max(part_tokens, 1), block)


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for match in _SENTENCE_END.finditer(text):
        # A lower-case letter after a full stop continues the sentence, as in "z. B. so".
        if match.end() < len(text) and not text[match.end()].islower():
            yield text[start : match.end()]
            start = match.end()
    if start < len(text):
        yield text[start:]


def _words(text: str) -> list[tuple[str, int | None]]:
    """The words of a text, each with the strength of the boundary before it; None for the first."""
    starts = [match.start() for match in _WORD_START.finditer(text)]
    out: list[tuple[str, int | None]] = []
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        inner: int | None = WORD if out else None
        for part in _runs(text[start:end]):
            out.append((part, inner))
            inner = ANYWHERE
    return out


def _runs(word: str) -> Iterator[str]:
    """A word, or parts of a run of characters too long for a word, split where a hash of four characters says so."""
    start = 0
    if len(word) > _LONGEST_RUN:
        for place in range(8, len(word) - 8):
            long = place - start >= _LONGEST_RUN
            if long or (
                place - start >= 8 and zlib.crc32(word[place : place + 4].encode("utf-8", "replace")) % 16 == 0
            ):
                yield word[start:place]
                start = place
    yield word[start:]
