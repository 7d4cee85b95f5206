"""The recipe is a folder of commands, not an installed package: make its package importable."""

import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))


def compiled(pairs: dict[str, str]) -> bytes:
    """A compiled gettext catalogue."""
    items = sorted({"": "Content-Type: text/plain; charset=UTF-8\n", **pairs}.items())
    originals = [key.encode() for key, _ in items]
    translations = [text.encode() for _, text in items]
    head, tables, body = 28, b"", b""
    start = head + 16 * len(items)
    for raw in [*originals, *translations]:
        tables += struct.pack("<II", len(raw), start + len(body))
        body += raw + b"\0"
    return struct.pack("<7I", 0x950412DE, 0, len(items), head, head + 8 * len(items), 0, 0) + tables + body


@pytest.fixture
def catalogue() -> Callable[[dict[str, str]], bytes]:
    """What compiles a gettext catalogue."""
    return compiled
