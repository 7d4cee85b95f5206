"""Opens and hashes files and streams."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import BinaryIO

from latelite.sources import extraction, roots
from latelite.sources.plan import Work

_BLOCK = 1 << 20


def open_work(work: Work) -> BinaryIO:
    """Open a file, or make a seekable copy of a stream."""
    location = work.found.location
    if work.source.kind != "stream":
        return Path(location).open("rb")
    if location == roots.STANDARD_INPUT:
        return extraction.spool(sys.stdin.buffer)
    with Path(location).open("rb") as stream:
        return extraction.spool(stream)


def content_hash(file: BinaryIO) -> bytes:
    """Hash of a file's bytes; the file is rewound."""
    state = hashlib.blake2b(digest_size=16)
    while block := file.read(_BLOCK):
        state.update(block)
    file.seek(0)
    return state.digest()
