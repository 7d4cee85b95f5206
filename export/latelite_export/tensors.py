"""Reads a checkpoint's weight files without running code from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from latelite_export.checkpoint import first_line, read_json
from latelite_export.errors import IncompleteCheckpointError, UnsupportedCheckpointError

Tensors = dict[str, torch.Tensor]
T = TypeVar("T")

_FILES = ("model.safetensors", "pytorch_model.bin")
_INDEXES = tuple(f"{name}.index.json" for name in _FILES)
NAMES = (_FILES[0], _INDEXES[0], _FILES[1], _INDEXES[1])
"""Weight files in the order in which they are looked for; an index lists the shards."""

_LARGEST_GRAPH = (1 << 31) - (1 << 24)
"""Maximum bytes of fp32 weights in one graph: a protobuf holds 2 GiB, of which the nodes need some."""


def files(folder: Path) -> tuple[Path, ...]:
    """The weight files in ``folder``: one file, or the shards listed by an index.

    Raises:
        IncompleteCheckpointError: there are no weights, or a shard is missing.
    """
    for name in NAMES:
        path = folder / name
        if path.is_file():
            return _shards(path) if name in _INDEXES else (path,)
    raise IncompleteCheckpointError(
        f"{folder} holds no weights (looked for {', '.join(NAMES)}); download the whole checkpoint."
    )


def check_size(folder: Path) -> None:
    """Check, by the headers of the files, that the weights fit into one ONNX file in fp32.

    Raises:
        UnsupportedCheckpointError: they do not.
    """
    parameters = sum(_try_read(path, _parameters) for path in files(folder))
    if parameters * 4 > _LARGEST_GRAPH:
        raise UnsupportedCheckpointError(
            f"{folder} has {parameters / 1e6:.0f} million parameters, {parameters * 4 / 1e9:.1f} GB in fp32; an ONNX "
            "file holds 2 GiB, so at most about 530 million parameters can be exported."
        )


def read(folder: Path) -> Tensors:
    """All tensors in ``folder``, with names and dtypes as stored. Pickles are read with ``weights_only``.

    Raises:
        IncompleteCheckpointError: a file is missing or damaged.
        UnsupportedCheckpointError: weights are stored as integers or in 8 bits.
    """
    found: Tensors = {}
    for path in files(folder):
        loaded = _try_read(path, _load)
        if not isinstance(loaded, dict) or not all(isinstance(v, torch.Tensor) for v in loaded.values()):
            raise IncompleteCheckpointError(f"{path} does not contain a dictionary of tensors.")
        found |= {str(name): tensor for name, tensor in loaded.items()}
    for name, tensor in found.items():
        exact = tensor.dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64)
        if not exact and tensor.dim() > 1 and name.endswith("weight"):
            raise UnsupportedCheckpointError(
                f"{folder} holds {name} as {str(tensor.dtype).removeprefix('torch.')}: its weights are quantised; "
                "export the original checkpoint, the exporter does the quantisation."
            )
        if exact and not torch.isfinite(tensor).all():
            raise IncompleteCheckpointError(
                f"{name} in {folder} contains NaN or infinite values; save the checkpoint again from a sound one."
            )
    return found


def shape(folder: Path, name: str) -> tuple[int, ...] | None:
    """Shape of one tensor, from the header in a safetensors file; None if there is no such tensor."""
    for path in files(folder):
        if path.suffix == ".safetensors":
            found = _try_read(path, lambda p: _shape(p, name))
        else:
            tensor = _try_read(path, _load).get(name)
            found = None if tensor is None else tuple(tensor.shape)
        if found is not None:
            return found
    return None


def _shards(index: Path) -> tuple[Path, ...]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise IncompleteCheckpointError(f"{index} lists no shards.")
    shards = tuple(index.parent / name for name in dict.fromkeys(names.values()))
    suffix = Path(index.name.removesuffix(".index.json")).suffix
    for shard in shards:
        if shard.parent != index.parent or shard.suffix != suffix:
            raise IncompleteCheckpointError(f"{index} names {shard.name!r}, which is not a shard beside it.")
        if not shard.is_file():
            raise IncompleteCheckpointError(f"{shard} is missing; download the whole checkpoint.")
    return shards


def _load(path: Path) -> Tensors:
    if path.suffix == ".safetensors":
        return load_file(path)
    state: Tensors = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _parameters(path: Path) -> int:
    if path.suffix == ".safetensors":
        with safe_open(path, framework="np") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return sum(tensor.numel() for tensor in _load(path).values() if isinstance(tensor, torch.Tensor))


def _shape(path: Path, name: str) -> tuple[int, ...] | None:
    with safe_open(path, framework="np") as file:
        return tuple(file.get_slice(name).get_shape()) if name in file.keys() else None  # noqa: SIM118


def _try_read(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except Exception as error:  # safetensors and pickle raise their own exceptions
        raise IncompleteCheckpointError(f"the weights in {path} cannot be loaded: {first_line(error)}") from error
