"""The lines of a text, with a limit on their length."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import IO

LONGEST = 8192
"""Maximum characters of a line; longer ones are split."""

_CUTS = re.compile(r"(?<=\s)(?=\S)")


def lines(text: IO[str]) -> Iterator[tuple[int, str, bool]]:
    """Line number (from 1), text with its newline, and whether it continues a line that was split.

    A line longer than `LONGEST` is split where a hash of the following text is lowest, so that the position does not
    depend on the length of the preceding text.
    """
    number = 1
    rest = ""
    going_on = False
    while True:
        line = rest + text.readline(LONGEST - len(rest))
        rest = ""
        if not line:
            return
        if len(line) >= LONGEST and not line.endswith("\n"):
            cut = _cut(line)
            line, rest = line[:cut], line[cut:]
        yield number, line.replace("\0", " "), going_on
        going_on = not line.endswith("\n")
        number += not going_on


def _cut(line: str) -> int:
    half = len(line) // 2
    places = [match.start() for match in _CUTS.finditer(line, half, len(line) - 64)]
    if not places:
        places = list(range(half, len(line) - 64))
    return min(places, key=lambda place: zlib.crc32(line[place : place + 32].encode("utf-8", "surrogatepass")))
