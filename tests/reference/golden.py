"""Read the golden vectors: what the reference implementation made of each case's texts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "goldens"

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Side:
    """Queries or documents of one case, in the order of `Golden.names`."""

    ids: list[Ids]
    """What was fed to the encoder, (positions,): prefix and expansion included, no padding from batch mates."""
    attention: list[NDArray[np.uint8]]
    """(positions,), 1 where attended to."""
    vectors: list[Floats]
    """(tokens, dim), unit length, only the tokens that are kept."""


@dataclass(frozen=True)
class Pooled:
    """Documents of one case after token pooling."""

    pool_factor: int
    protected_tokens: int
    names: list[str]
    """Keys of `TEXTS`."""
    vectors: list[Floats]
    """(clusters, dim), not unit length."""


@dataclass(frozen=True)
class Golden:
    """One case: settings as the reference resolved them, and its vectors."""

    settings: dict[str, Any]
    names: list[str]
    """Keys of `TEXTS`."""
    queries: Side
    documents: Side
    pooled: list[Pooled]
    arrays: dict[str, NDArray[Any]] = field(repr=False)
    """Everything in the file; some cases hold `scores` and `rerank_*` (see the README)."""


def load(name: str) -> Golden:
    """The golden vectors of the case of that name."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    settings = json.loads(str(arrays.pop("settings")))

    def side(prefix: str) -> Side:
        positions = arrays[f"{prefix}_positions"]
        return Side(
            ids=_split(arrays[f"{prefix}_ids"], positions),
            attention=_split(arrays[f"{prefix}_attention"], positions),
            vectors=_split(arrays[f"{prefix}_vectors"], arrays[f"{prefix}_tokens"]),
        )

    pooled = [
        Pooled(factor, protected, settings["pooled_texts"], _split(arrays[f"{key}_vectors"], arrays[f"{key}_tokens"]))
        for factor, protected in settings["pooled"]
        for key in [f"pooled_{factor}_{protected}"]
    ]
    return Golden(settings, settings["texts"], side("query"), side("document"), pooled, arrays)


def _split(flat: NDArray[Any], lengths: NDArray[np.int32]) -> list[NDArray[Any]]:
    """Rows of a flat array, cut into pieces of the given lengths."""
    return np.split(flat, np.cumsum(lengths)[:-1])
