"""Checkpoints of Stanford's ColBERT: the projection beside the encoder's weights, settings in artifact.metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from latelite_export.checkpoint import Checkpoint, DenseLayer, Overrides, Resolution, read_json, weights_file
from latelite_export.errors import IncompleteCheckpointError

ARCHITECTURE = "HF_ColBERT"
METADATA = "artifact.metadata"
_PREFIXES = ("[unused0]", "[unused1]")
_HEAD = "linear.weight"
_NAMES = {
    "query_prefix": "query_token_id",
    "document_prefix": "doc_token_id",
    "query_length": "query_maxlen",
    "document_length": "doc_maxlen",
    "attend_to_expansion_tokens": "attend_to_mask_tokens",
}
"""PyLate's names for what it reads; everything else in the file it leaves alone, mask_punctuation included."""


class Stanford:
    """Reader of Stanford's layout."""

    name = "stanford"
    evidence = f"config.json with architecture {ARCHITECTURE}"

    def matches(self, folder: Path) -> bool:
        """Whether the configuration names Stanford's class."""
        architectures = read_json(folder / "config.json", required=False).get("architectures") or [None]
        return bool(architectures[0] == ARCHITECTURE)

    def read(self, folder: Path, checkpoint_id: str, revision: str | None, overrides: Overrides) -> Checkpoint:
        """Resolve the settings.

        Raises:
            IncompleteCheckpointError: the weights lack the projection, or are missing.
        """
        metadata = read_json(folder / METADATA, required=False)
        weights = weights_file(folder)
        outputs, inputs = _head_shape(weights)
        resolution = Resolution()
        settings = resolution.settings(
            {ours: metadata.get(theirs) for ours, theirs in _NAMES.items()},
            METADATA,
            {},
            METADATA,
            overrides,
            prefixes=_PREFIXES,
        )
        return Checkpoint(
            id=checkpoint_id,
            revision=revision,
            layout=self.name,
            backbone=folder,
            tokenizer=folder,
            head=(DenseLayer(inputs, outputs, False, "torch.nn.modules.linear.Identity", False, weights),),
            settings=settings,
            sources=resolution.sources,
            skip_policy="unk",
        )


def _head_shape(weights: Path) -> tuple[int, int]:
    """(outputs, inputs) of the projection."""
    if weights.suffix == ".safetensors":
        with safe_open(weights, framework="np") as file:
            shape = tuple(file.get_slice(_HEAD).get_shape()) if _HEAD in file.keys() else None  # noqa: SIM118
    else:
        import torch

        state: Mapping[str, Any] = torch.load(weights, map_location="cpu", weights_only=True)
        shape = tuple(state[_HEAD].shape) if _HEAD in state else None
    if shape is None or len(shape) != 2:
        raise IncompleteCheckpointError(f"{weights} lacks {_HEAD}: the projection would be freshly initialised.")
    return int(shape[0]), int(shape[1])
