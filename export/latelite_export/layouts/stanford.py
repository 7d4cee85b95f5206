"""Checkpoints of Stanford's ColBERT: the projection beside the encoder's weights, settings in artifact.metadata."""

from __future__ import annotations

from pathlib import Path

from latelite_export import tensors
from latelite_export.architectures import STANFORD
from latelite_export.checkpoint import Checkpoint, DenseLayer, Overrides, Resolution, check_similarity, read_json
from latelite_export.errors import IncompleteCheckpointError

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
"""The settings that PyLate reads, under its names; it ignores all others, mask_punctuation included."""


class Stanford:
    """Reader of Stanford's layout."""

    name = "stanford"
    evidence = f"config.json with architecture {STANFORD}"

    def matches(self, folder: Path) -> bool:
        """Whether ``config.json`` names Stanford's class."""
        named = read_json(folder / "config.json", required=False).get("architectures")
        return isinstance(named, list) and named[:1] == [STANFORD]

    def read(self, folder: Path, checkpoint_id: str, revision: str | None, overrides: Overrides) -> Checkpoint:
        """Resolve the settings.

        Raises:
            IncompleteCheckpointError: the weights lack the projection, or are missing.
        """
        metadata = read_json(folder / METADATA, required=False)
        check_similarity(metadata.get("similarity"), METADATA)
        outputs, inputs = _head_shape(folder)
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
            head=(DenseLayer(inputs, outputs, False, "torch.nn.modules.linear.Identity", False, folder),),
            head_tensors=(_HEAD,),
            dim=overrides.dim,
            settings=settings,
            sources=resolution.sources,
            skip_policy="unk",
        )


def _head_shape(folder: Path) -> tuple[int, int]:
    """(outputs, inputs) of the projection."""
    shape = tensors.shape(folder, _HEAD)
    if shape is None or len(shape) != 2:
        raise IncompleteCheckpointError(f"{folder} lacks {_HEAD}: the projection would be randomly initialised.")
    return shape[0], shape[1]
