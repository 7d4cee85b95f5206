"""The packed weights' reader, on a file written here."""

import struct

import numpy as np
import pytest
from recipe.errors import FormatError
from recipe.packed import BLOCK, PackedWeights, unpack_blocks


def packed_file(tensors: dict[str, bytes], subwords: list[str] = ["<s>", "x"]) -> bytes:  # noqa: B006 -- never changed
    """A file of this format that holds ``tensors``."""
    blob = "".join(subwords).encode()
    head = b"E5S1" + struct.pack("<I7i", 1, 64, 1, 2, 128, len(subwords), 16, 2) + struct.pack("<fi", 1e-12, 0)
    head += struct.pack("<5iQ", len(subwords), 0, 1, 1, 0, len(blob)) + bytes(8 * len(subwords) + 4) + blob
    head += struct.pack("<i", 0) + struct.pack("<I", 3) + b"nfc" + struct.pack("<i", len(tensors))
    directory_bytes = sum(2 + len(name) + 1 + 4 + 16 for name in tensors)
    at, directory, body = len(head) + directory_bytes, b"", b""
    for name, stored in tensors.items():
        directory += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", 0, 0, at, len(stored))
        at, body = at + len(stored), body + stored
    return head + directory + body


def block(scale: float, values: list[int]) -> bytes:
    """One 4-bit block: 32 values of -8 to 7 times ``scale``."""
    nibbles = [value + 8 for value in values]
    return struct.pack("<e", scale) + bytes(
        low | high << 4 for low, high in zip(nibbles[:16], nibbles[16:], strict=True)
    )


def test_sizes_come_from_the_header() -> None:
    sizes = PackedWeights(packed_file({})).sizes
    assert (sizes.hidden, sizes.layers, sizes.heads, sizes.feed_forward) == (64, 1, 2, 128)
    assert (sizes.vocabulary, sizes.positions, sizes.types) == (2, 16, 2)


def test_a_float_tensor_is_read_as_it_is() -> None:
    values = np.arange(6, dtype="<f4")
    packed = PackedWeights(packed_file({"first": b"\0" * 4, "norm": values.tobytes()}))
    np.testing.assert_array_equal(packed.tensor("norm", 2, 3), values.reshape(2, 3))
    assert list(packed) == ["first", "norm"]


def test_low_nibbles_come_first_and_eight_is_zero() -> None:
    values = [*range(-8, 8), *range(7, -9, -1)]
    packed = PackedWeights(packed_file({"w": block(0.5, values) + block(2.0, [0] * 31 + [-8])}))
    expected = np.array([[0.5 * v for v in values], [0.0] * 31 + [-16.0]], np.float32)
    np.testing.assert_array_equal(packed.tensor("w", 2, BLOCK), expected)


def test_blocks_keep_their_own_scale() -> None:
    stored = np.frombuffer(block(1.0, [1] * BLOCK) + block(-0.25, [4] * BLOCK), np.uint8)
    np.testing.assert_array_equal(unpack_blocks(stored), np.repeat(np.array([1, -1], np.float32), BLOCK))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"GGUF" + bytes(100), "start with b'GGUF'"),
        (packed_file({"w": bytes(4)})[:60], "cut off"),
        (packed_file({"w": bytes(4)})[:-1], "end before tensor 'w'"),
    ],
)
def test_another_or_a_truncated_file_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        PackedWeights(raw)


def test_a_missing_tensor_or_a_wrong_shape_is_refused() -> None:
    packed = PackedWeights(packed_file({"w": bytes(4)}))
    with pytest.raises(FormatError, match="no tensor 'v'"):
        packed.tensor("v", 1)
    with pytest.raises(FormatError, match="neither float32 nor 4-bit"):
        packed.tensor("w", 3)
