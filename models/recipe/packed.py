"""Reader of the packed weights ("E5S1"): one file with sizes, subwords, a tensor directory and 4-bit tensors.

Little endian. A header of sizes, the tokenizer's subwords and normaliser (skipped, since ``tokenizer.json`` is read
instead), a directory of name, offset and length, then the tensors. Matrices are stored in blocks of 32 values: a
half-precision scale and 16 bytes, whose low nibbles are values 0-15 and high nibbles values 16-31, each offset by 8.
Vectors and positions are float32.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recipe.errors import FormatError

MAGIC = b"E5S1"
BLOCK = 32
BLOCK_BYTES = 2 + BLOCK // 2
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Sizes:
    """Shape of the encoder."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int


class PackedWeights:
    """The tensors of a packed file, by name."""

    def __init__(self, raw: bytes) -> None:
        if raw[:4] != MAGIC:
            raise FormatError(f"packed weights start with {raw[:4]!r}, not {MAGIC!r}")
        self._raw = raw
        try:
            self.sizes, self._directory = self._read_directory()
        except (struct.error, UnicodeDecodeError) as error:
            raise FormatError(f"packed weights are cut off in the directory ({error})") from error

    def _read_directory(self) -> tuple[Sizes, dict[str, tuple[int, int]]]:
        cursor = _Cursor(self._raw, at=4)
        cursor.skip("<I")  # version
        sizes = Sizes(*cursor.take("<7i"))
        cursor.skip("<fi")  # LayerNorm's epsilon, and a flag
        subwords = cursor.take("<5i")[0]
        blob_bytes = cursor.take("<Q")[0]
        cursor.at += 4 * (subwords + 1) + 4 * subwords + blob_bytes  # offsets, scores, text
        cursor.skip("<i")
        normaliser_bytes = cursor.take("<I")[0]
        cursor.at += normaliser_bytes
        directory = {}
        for _ in range(cursor.take("<i")[0]):
            name = cursor.text(cursor.take("<H")[0])
            cursor.skip("<BI")  # storage type, checksum
            offset, length = cursor.take("<QQ")
            if offset + length > len(self._raw):
                raise FormatError(f"packed weights end before tensor {name!r} does")
            directory[name] = (offset, length)
        return sizes, directory

    def __iter__(self) -> Iterator[str]:
        return iter(self._directory)

    def tensor(self, name: str, *shape: int) -> Matrix:
        """A tensor as float32 of ``shape``; its length tells whether it is stored in float32 or 4 bits."""
        if name not in self._directory:
            raise FormatError(f"packed weights have no tensor {name!r}")
        offset, length = self._directory[name]
        count = int(np.prod(shape))
        if length == 4 * count:
            return np.frombuffer(self._raw, "<f4", count, offset).reshape(shape).astype(np.float32)
        if length * BLOCK == count * BLOCK_BYTES:
            return unpack_blocks(np.frombuffer(self._raw, np.uint8, length, offset)).reshape(shape)
        raise FormatError(f"tensor {name!r} has {length} bytes, which is neither float32 nor 4-bit for {shape}")


def unpack_blocks(stored: NDArray[np.uint8]) -> Matrix:
    """Unpack blocks of 18 bytes to ``(32 * blocks,)`` float32."""
    blocks = stored.reshape(-1, BLOCK_BYTES)
    scale = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    nibbles = blocks[:, 2:]
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float32) - 8
    return (values * scale).reshape(-1)


class _Cursor:
    """A read position in bytes."""

    def __init__(self, raw: bytes, at: int) -> None:
        self.raw, self.at = raw, at

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(layout, self.raw, self.at)
        self.at += struct.calcsize(layout)
        return values

    def skip(self, layout: str) -> None:
        self.at += struct.calcsize(layout)

    def text(self, length: int) -> str:
        self.at += length
        return self.raw[self.at - length : self.at].decode()
