"""The bytes of a file or stream that is to be read."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import BinaryIO

from latelite.sources import extraction, roots
from latelite.sources.plan import Work

_BLOCK = 1 << 20


def opened(work: Work) -> BinaryIO:
    """A file, or a seekable copy of a stream."""
    location = work.found.location
    if work.source.kind != "stream":
        return Path(location).open("rb")
    if location == roots.STANDARD_INPUT:
        return extraction.spooled(sys.stdin.buffer)
    with Path(location).open("rb") as stream:
        return extraction.spooled(stream)


def content_hash(file: BinaryIO) -> bytes:
    """Hash of all bytes of a file, which is rewound."""
    state = hashlib.blake2b(digest_size=16)
    while block := file.read(_BLOCK):
        state.update(block)
    file.seek(0)
    return state.digest()
