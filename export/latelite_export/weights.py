"""Loads a checkpoint's weights in fp32, and refuses those that transformers would randomly initialise or ignore."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from latelite_export import tensors
from latelite_export.architectures import is_unused
from latelite_export.checkpoint import DenseLayer, first_line
from latelite_export.configuration import Configuration
from latelite_export.errors import IncompleteCheckpointError, UnsupportedCheckpointError
from latelite_export.silence import silence
from latelite_export.tensors import Tensors


@dataclass(frozen=True)
class Backbone:
    """An encoder and its weights."""

    module: PreTrainedModel
    """In fp32, in evaluation mode."""
    configuration: Configuration
    tensors: Mapping[str, torch.Tensor]
    """The checkpoint's fp32 tensors without heads, named as in the bare encoder. Independent of how the installed
    transformers names its modules."""


def load_backbone(configuration: Configuration, *, besides: Collection[str] = ()) -> Backbone:
    """Load the encoder.

    Args:
        configuration: the encoder's configuration.
        besides: names of tensors that are not the encoder's but are used elsewhere.

    Raises:
        IncompleteCheckpointError: a weight that the token vectors depend on is missing or has the wrong shape.
        UnsupportedCheckpointError: there are weights that would not be used.
    """
    folder = configuration.folder
    tensors.files(folder)
    if configuration.architecture is None:
        return _load_remote(configuration)
    named = _encoder_names(tensors.read(folder), configuration.architecture.prefix)
    foreign = sorted(name for name in named if is_unused(name) and name.partition(".")[0] != "pooler")
    state = {name: t.to(torch.float32) for name, t in named.items() if name not in foreign and name not in besides}
    model_class: Any = MODEL_MAPPING[type(configuration.parsed)]
    try:
        with silence():  # the loading report has everything it warns about
            model, report = model_class.from_pretrained(
                None,  # given all tensors, transformers opens no file and uses no network
                config=configuration.parsed,
                state_dict=dict(state),
                dtype=torch.float32,
                attn_implementation=_attention(configuration.parsed.model_type),
                output_loading_info=True,
            )
    except Exception as error:  # each architecture raises its own exceptions
        raise IncompleteCheckpointError(f"the weights in {folder} cannot be loaded: {first_line(error)}") from error
    loaded: PreTrainedModel = model.eval()
    _check_loading(loaded, report, folder)
    used = {name: tensor for name, tensor in state.items() if not is_unused(name)}
    return Backbone(loaded, configuration, used)


def load_dense(layer: DenseLayer) -> dict[str, torch.Tensor]:
    """``weight``, and ``bias`` and ``residual`` if the layer has them, in fp32.

    Raises:
        IncompleteCheckpointError: one is missing or has the wrong shape.
    """
    found = tensors.read(layer.weights)
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (layer.out_features, layer.in_features)}
    if layer.bias:
        shapes["linear.bias"] = (layer.out_features,)
    if layer.residual and layer.in_features != layer.out_features:
        shapes["residual.weight"] = (layer.out_features, layer.in_features)
    for name, shape in shapes.items():
        if name not in found:
            raise IncompleteCheckpointError(
                f"{layer.weights} lacks {name}: the projection would be randomly initialised."
            )
        if tuple(found[name].shape) != shape:
            raise IncompleteCheckpointError(
                f"{layer.weights}: {name} has shape {tuple(found[name].shape)}, its configuration says {shape}."
            )
    keys = {"linear.weight": "weight", "linear.bias": "bias", "residual.weight": "residual"}
    return {keys[name]: found[name].to(torch.float32) for name in shapes}


def max_positions(model: PreTrainedModel) -> int:
    """Maximum length that the encoder accepts, special tokens included.

    Raises:
        UnsupportedCheckpointError: the configuration does not say.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit < 1:
        raise UnsupportedCheckpointError(
            f"the configuration of {type(model).__name__} does not say how many positions there are."
        )
    for name, module in model.named_modules():
        # RoBERTa-like encoders start positions after the padding id, so that the first rows are never used.
        if isinstance(module, torch.nn.Embedding) and name.endswith("position_embeddings"):
            offset = 0 if module.padding_idx is None else module.padding_idx + 1
            limit = min(limit, module.num_embeddings - offset)
    return limit


def accepts(model: PreTrainedModel, name: str) -> bool:
    """Whether the encoder's forward has an input of that name."""
    return name in inspect.signature(model.forward).parameters


def fingerprint(named: Mapping[str, torch.Tensor], more: Iterable[str]) -> str:
    """SHA-256 over names, shapes and fp32 bytes of tensors, sorted by name, and over ``more``."""
    digest = hashlib.sha256()
    for name, tensor in sorted(named.items()):
        digest.update(f"{name}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().to(torch.float32).contiguous().numpy().tobytes())
    for text in more:
        digest.update(f"{text}\0".encode())
    return digest.hexdigest()


def _attention(kind: str) -> str:
    """The reference's attention implementation: eager, which can be traced too, unless it gives other vectors."""
    # For a token with an empty local window, SDPA (the default, and the reference) gives zeros and eager attention the
    # mean of all values.
    return "sdpa" if kind == "modernbert" else "eager"


def _encoder_names(found: Tensors, prefix: str) -> Tensors:
    """Tensors under their present names in the bare encoder.

    Names have a prefix if the encoder was saved inside a larger model; old checkpoints call a norm's weight ``gamma``.
    """
    inside = any(name.startswith(prefix) for name in found)
    result = {}
    for name, tensor in found.items():
        short = name.removeprefix(prefix) if inside else name
        short = re.sub(r"(LayerNorm|layer_norm)\.gamma$", r"\1.weight", short)
        short = re.sub(r"(LayerNorm|layer_norm)\.beta$", r"\1.bias", short)
        result[short] = tensor
    return result


def _load_remote(configuration: Configuration) -> Backbone:
    """Load with the checkpoint's own code, which the user allowed to run."""
    folder = configuration.folder
    try:
        with silence():
            model, report = AutoModel.from_pretrained(
                folder,
                config=configuration.parsed,
                dtype=torch.float32,
                attn_implementation="eager",
                local_files_only=configuration.code_revision is None,
                code_revision=configuration.code_revision,
                trust_remote_code=True,
                weights_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # third-party code may raise anything
        raise IncompleteCheckpointError(
            f"the weights in {folder} cannot be loaded by the checkpoint's code: {first_line(error)}"
        ) from error
    loaded: PreTrainedModel = model.eval()
    _check_loading(loaded, report, folder)
    return Backbone(loaded, configuration, dict(loaded.state_dict()))


def _check_loading(model: PreTrainedModel, report: Mapping[str, Any], folder: Path) -> None:
    """Check the loading report: a randomly initialised tensor that affects the vectors is an error."""
    if mismatched := report.get("mismatched_keys"):
        name = sorted(str(entry[0]) for entry in mismatched)[0]
        raise IncompleteCheckpointError(
            f"{folder}: the shapes of {name} and {len(mismatched) - 1} more do not match the configuration."
        )
    missing = {name for name in report.get("missing_keys", ()) if not is_unused(name)}
    made_up = sorted(missing & _decisive(model)) if missing else []
    if made_up:
        raise IncompleteCheckpointError(
            f"the weights in {folder} lack {made_up[0]} and {len(made_up) - 1} more of the encoder's "
            f"{len(list(model.parameters()))} tensors: they would be randomly initialised."
        )
    surplus = sorted(name for name in report.get("unexpected_keys", ()) if not is_unused(name))
    if surplus:
        raise UnsupportedCheckpointError(
            f"the weights in {folder} hold {surplus[0]} and {len(surplus) - 1} more tensors that "
            f"{type(model).__name__} does not have: they belong to another architecture or an adapter."
        )


def _decisive(model: PreTrainedModel) -> set[str]:
    """Names of the parameters that the last hidden state depends on, determined by differentiation.

    A pooler, for example, is often missing but never used.
    """
    with torch.enable_grad():
        model.zero_grad()
        ids = torch.ones((1, 2), dtype=torch.int64)
        hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids), return_dict=False)[0]
        hidden.square().sum().backward()
    names = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad(set_to_none=True)
    return names
