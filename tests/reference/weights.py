"""Random weights, and a writer of safetensors.

The weights are larger than those of a fresh model, so that attention, positions and biases all matter: a runtime that
ignores one of them is far outside the tolerance.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .case import Case

_ATTENTION = ("query.weight", "key.weight", "q_lin.weight", "k_lin.weight", ".q.weight", ".k.weight", "Wqkv.weight")


def values(case: Case, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Uniform random values that depend on the seed and the parameter's name only.

    Uniform, since that takes nothing but multiplications: the same bits on every machine.
    """
    if name.endswith("bias") and len(shape) == 1:
        centre, spread = 0.0, 0.2
    elif len(shape) == 1:  # the scale of a layer norm
        centre, spread = 1.0, 0.3
    elif "embeddings" in name:
        centre, spread = 0.0, 1.0
    elif name.endswith(_ATTENTION):  # scores far enough apart that masks and positions show
        centre, spread = 0.0, 2.5 * shape[-1] ** -0.5
    elif name.endswith("relative_attention_bias.weight"):
        centre, spread = 0.0, 2.0
    else:
        centre, spread = 0.0, 1.5 * shape[-1] ** -0.5
    stream = np.random.RandomState(zlib.crc32(f"{case.seed}/{name}".encode()))
    return (centre + spread * (2.0 * stream.random_sample(shape) - 1.0)).astype(np.float32)


def write_safetensors(path: Path, tensors: Mapping[str, NDArray[np.float32]], dtype: str = "F32") -> None:
    """A safetensors file: eight bytes of header length, a JSON header, the tensors. `dtype` is F32, F16 or BF16."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blocks: list[bytes] = []
    offset = 0
    for name, tensor in sorted(tensors.items()):
        if dtype == "BF16":  # the upper half of a float32, rounded to even
            bits = tensor.view(np.uint32).astype(np.uint64)
            block = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
        else:
            block = tensor.astype("<f4" if dtype == "F32" else "<f2").tobytes()
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [offset, offset + len(block)]}
        blocks.append(block)
        offset += len(block)
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + b"".join(blocks))
