"""``modules.json``: the list of modules that PyLate and Sentence Transformers write."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from latelite_export import tensors
from latelite_export.checkpoint import DenseLayer, read_json, read_json_value
from latelite_export.errors import IncompleteCheckpointError, UnsupportedCheckpointError

FILE = "modules.json"
_WIDEST = 1 << 16
"""Largest accepted number of dimensions of a layer."""

_TRANSFORMER_CONFIGS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)


@dataclass(frozen=True)
class Module:
    """One entry of ``modules.json``."""

    kind: str
    """Class name, e.g. ``Dense``."""
    type: str
    """Import path of the class, as written."""
    folder: Path


def read_modules(folder: Path) -> tuple[Module, ...]:
    """The modules, in the order in which they run."""
    entries = read_json_value(folder / FILE)
    try:
        ordered = sorted(entries, key=lambda entry: int(entry["idx"]))
        found = tuple(
            Module(str(entry["type"]).rsplit(".", 1)[-1], str(entry["type"]), folder / entry["path"])
            for entry in ordered
        )
    except (TypeError, KeyError, ValueError) as error:
        raise IncompleteCheckpointError(f"{folder / FILE} is not a list of modules.") from error
    if not found:
        raise IncompleteCheckpointError(f"{folder / FILE} lists no modules.")
    outside = [module.folder for module in found if not module.folder.resolve().is_relative_to(folder.resolve())]
    if outside:
        raise UnsupportedCheckpointError(f"{folder / FILE} names {outside[0]}, which is outside the checkpoint.")
    return found


def check_origin(module: Module, *packages: str) -> None:
    """Check that a module's class is in one of ``packages``.

    Raises:
        UnsupportedCheckpointError: it is in the checkpoint's own code, or in another package.
    """
    if module.type.split(".", 1)[0] not in packages:
        raise UnsupportedCheckpointError(f"{FILE} names {module.type}, a module that the exporter does not know.")


def transformer_config(folder: Path) -> Path:
    """The file with ``do_lower_case`` and ``max_seq_length``; the first possible name if there is none."""
    present = (folder / name for name in _TRANSFORMER_CONFIGS if (folder / name).is_file())
    return next(present, folder / _TRANSFORMER_CONFIGS[0])


def read_dense(folder: Path, *, default_activation: str) -> DenseLayer:
    """Read a Dense module.

    Args:
        folder: folder with ``config.json`` and the weights.
        default_activation: import path of the activation if the configuration names none.

    Raises:
        CheckpointNotFoundError: the configuration is missing.
        IncompleteCheckpointError: the configuration lacks a dimension, or the weights are missing.
    """
    config = read_json(folder / "config.json")
    tensors.files(folder)
    try:
        layer = DenseLayer(
            in_features=int(config["in_features"]),
            out_features=int(config["out_features"]),
            bias=bool(config.get("bias", True)),
            activation=str(config.get("activation_function") or default_activation),
            residual=bool(config.get("use_residual", False)),
            weights=folder,
        )
    except (TypeError, KeyError, ValueError) as error:
        raise IncompleteCheckpointError(f"{folder / 'config.json'} lacks in_features or out_features.") from error
    if not (1 <= layer.in_features <= _WIDEST and 1 <= layer.out_features <= _WIDEST):
        raise IncompleteCheckpointError(
            f"{folder / 'config.json'} has an in_features or out_features that is not a valid size."
        )
    return layer


def check_chain(head: tuple[DenseLayer, ...], folder: Path) -> None:
    """Check that each layer's outputs are the next one's inputs."""
    for first, second in itertools.pairwise(head):
        if first.out_features != second.in_features:
            raise IncompleteCheckpointError(
                f"{folder}: a Dense layer with {first.out_features} outputs is followed by one with "
                f"{second.in_features} inputs."
            )
