"""Files as the site stores them: gzipped, in parts of a few megabytes, named by their checksums.

Plain file servers neither compress nor answer requests for a range. The names make a part immutable: a browser keeps
it for good, and an export that is put in the place of another never mixes with it. They end in ``.bin``, since servers
give what ends in ``.gz`` a header that makes browsers inflate it behind the page's back.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PART_BYTES = 4 << 20
DATA = "data"
_GZIP = 31  # zlib's window bits for a gzip header, which holds no time
_MOST_MEMORY = 9
_NAME_DIGITS = 20
STORED_NAME = re.compile(rf"[0-9a-f]{{{_NAME_DIGITS}}}\.bin")


class Stored:
    """Writes parts into ``folder/data``, and describes them for the index."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files: dict[str, dict[str, Any]] = {}
        """Name -> ``{"bytes", "parts"}``, as the library's ``files.js`` reads it."""
        self.written: set[str] = set()
        """Paths below the folder."""
        (folder / DATA).mkdir(parents=True, exist_ok=True)

    @property
    def stored_bytes(self) -> int:
        """Stored bytes so far."""
        return sum({part["file"]: part["stored"] for file in self.files.values() for part in file["parts"]}.values())

    def add(
        self, name: str, content: bytes | memoryview, *, level: int = 9, strategy: int = zlib.Z_DEFAULT_STRATEGY
    ) -> None:
        """Store a whole file.

        Args:
            level: of compression; token vectors hardly shrink, and 1 is as good as 9 for them.
            strategy: of zlib. Short repetitions of a graph's weights are accidents, which cost more than they spare:
                with ``Z_FILTERED``, the default model's are 67 kB smaller.
        """
        self.add_blocks(name, [content], level=level, strategy=strategy)

    def add_blocks(
        self,
        name: str,
        blocks: Iterable[bytes | memoryview],
        *,
        level: int = 9,
        strategy: int = zlib.Z_DEFAULT_STRATEGY,
    ) -> None:
        """Store a file that comes in blocks, which need not be in memory together."""
        parts, rest = [], b""
        for block in blocks:
            view = memoryview(block).cast("B")
            start = 0
            if rest:
                start = min(PART_BYTES - len(rest), len(view))
                rest += view[:start]
                if len(rest) == PART_BYTES:
                    parts.append(self._part(rest, level, strategy))
                    rest = b""
            while len(view) - start >= PART_BYTES:
                parts.append(self._part(view[start : start + PART_BYTES], level, strategy))
                start += PART_BYTES
            rest += view[start:]
        if rest:
            parts.append(self._part(rest, level, strategy))
        self.files[name] = {"bytes": sum(part["bytes"] for part in parts), "parts": parts}

    def add_parts(self, name: str, parts: Iterable[tuple[bytes, dict[str, Any]]]) -> None:
        """Store a file whose parts are read one by one, each with a description of its own."""
        written = [self._part(content, 9) | description for content, description in parts]
        self.files[name] = {"bytes": sum(part["bytes"] for part in written), "parts": written}

    def _part(self, content: bytes | memoryview, level: int, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> dict[str, Any]:
        packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP, _MOST_MEMORY, strategy)
        stored = packer.compress(content) + packer.flush()
        digest = hashlib.sha256(stored).hexdigest()
        file = f"{DATA}/{digest[:_NAME_DIGITS]}.bin"
        path = self._folder / file
        if file not in self.written:
            path.write_bytes(stored)
            self.written.add(file)
        return {
            "file": file,
            "bytes": len(content),
            "stored": len(stored),
            "sha256": digest,
            "crc32": zlib.crc32(content),
        }
