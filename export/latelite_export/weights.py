"""Loading a checkpoint's weights in fp32, and refusing any that transformers would have to make up."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from latelite_export.checkpoint import Checkpoint, DenseLayer, read_json, weights_file
from latelite_export.errors import IncompleteCheckpointError, RemoteCodeError, UnsupportedCheckpointError
from latelite_export.newer_config import translate
from latelite_export.silence import silence

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def load_backbone(checkpoint: Checkpoint, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """The encoder in fp32 with eager attention, in evaluation mode.

    Raises:
        CheckpointNotFoundError: ``config.json`` is missing.
        IncompleteCheckpointError: a weight that the token vectors depend on is missing or has another shape.
        UnsupportedCheckpointError: the architecture is unknown, or not a plain encoder.
        RemoteCodeError: it is Python code of the checkpoint's own.
    """
    folder = checkpoint.backbone
    config = _config(folder, trust_remote_code=trust_remote_code)
    weights_file(folder, _WEIGHTS)
    try:
        with silence():  # what it would warn about is in the report
            model, report = AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                # SDPA traces carry IsNaN and Where nodes that no fusion removes.
                attn_implementation="eager",
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
    except Exception as error:  # safetensors, pickle and transformers each raise classes of their own
        raise IncompleteCheckpointError(f"the weights in {folder} cannot be loaded: {_first_line(error)}") from error
    loaded: PreTrainedModel = model.eval()
    _check_loading(loaded, report, folder)
    return loaded


def load_dense(layer: DenseLayer) -> dict[str, torch.Tensor]:
    """``weight``, and ``bias`` and ``residual`` where the layer has them, in fp32.

    Raises:
        IncompleteCheckpointError: one is missing or has another shape.
    """
    tensors = _read(layer.weights)
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (layer.out_features, layer.in_features)}
    if layer.bias:
        shapes["linear.bias"] = (layer.out_features,)
    if layer.residual and layer.in_features != layer.out_features:
        shapes["residual.weight"] = (layer.out_features, layer.in_features)
    for name, shape in shapes.items():
        if name not in tensors:
            raise IncompleteCheckpointError(
                f"{layer.weights} lacks {name}: the projection would be freshly initialised."
            )
        if tuple(tensors[name].shape) != shape:
            raise IncompleteCheckpointError(
                f"{layer.weights}: {name} has shape {tuple(tensors[name].shape)}, its configuration says {shape}."
            )
    keys = {"linear.weight": "weight", "linear.bias": "bias", "residual.weight": "residual"}
    return {keys[name]: tensors[name].to(torch.float32) for name in shapes}


def max_positions(model: PreTrainedModel) -> int:
    """Longest sequence that the encoder accepts, special tokens included."""
    limit = int(model.config.max_position_embeddings)
    for name, module in model.named_modules():
        # RoBERTa and its kin number positions from behind the padding id, so that many rows are never a position.
        if isinstance(module, torch.nn.Embedding) and name.endswith("position_embeddings"):
            offset = 0 if module.padding_idx is None else module.padding_idx + 1
            limit = min(limit, module.num_embeddings - offset)
    return limit


def fingerprint(module: torch.nn.Module) -> str:
    """SHA-256 over names, shapes and fp32 bytes of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def _config(folder: Path, *, trust_remote_code: bool) -> PretrainedConfig:
    raw = read_json(folder / "config.json")
    if (folder / "adapter_config.json").is_file():
        raise UnsupportedCheckpointError(f"{folder} holds a PEFT adapter; merge it into its base model and save that.")
    kind = raw.get("model_type")
    native = kind in CONFIG_MAPPING
    if not native and raw.get("auto_map") and not trust_remote_code:
        raise RemoteCodeError(
            f"{folder / 'config.json'} wants to run the checkpoint's own model code; read it, then allow it with "
            "--trust-remote-code."
        )
    if not native and not raw.get("auto_map"):
        raise UnsupportedCheckpointError(f"{folder / 'config.json'} names the architecture {kind!r}, which is unknown.")
    if raw.get("is_encoder_decoder") or raw.get("is_decoder"):
        raise UnsupportedCheckpointError(f"{folder} holds a {kind} decoder; only encoders can be exported.")
    translated = translate(raw, folder) if native else raw
    config: PretrainedConfig
    try:
        if translated is raw:
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
        else:
            config = CONFIG_MAPPING[kind].from_dict(dict(translated))
    except Exception as error:  # each architecture validates in its own way
        raise UnsupportedCheckpointError(f"{folder / 'config.json'} is refused: {_first_line(error)}") from error
    return config


def _check_loading(model: PreTrainedModel, report: dict[str, Any], folder: Path) -> None:
    """Trust the loading report, not the warnings: a made-up tensor is an error wherever it reaches the vectors."""
    if mismatched := report.get("mismatched_keys"):
        name = sorted(str(entry[0]) for entry in mismatched)[0]
        raise IncompleteCheckpointError(
            f"{folder}: {name} and {len(mismatched) - 1} more have another shape than their configuration."
        )
    missing = set(report.get("missing_keys", ()))
    if not missing:
        return
    made_up = sorted(missing & _decisive(model))
    if made_up:
        raise IncompleteCheckpointError(
            f"the weights in {folder} lack {made_up[0]} and {len(made_up) - 1} more of the encoder's "
            f"{len(list(model.parameters()))} tensors: they would be freshly initialised."
        )
    # What is left was made up at random and nobody uses it, but `fingerprint` would see another encoder every time.
    state = model.state_dict()
    for name in missing & state.keys():
        state[name].zero_()


def _decisive(model: PreTrainedModel) -> set[str]:
    """Names of the parameters that the last hidden state depends on, found by differentiating it.

    A pooler, for one, is often missing and never used.
    """
    with torch.enable_grad():
        model.zero_grad()
        ids = torch.ones((1, 2), dtype=torch.int64)
        hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids), return_dict=False)[0]
        hidden.square().sum().backward()
    names = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad(set_to_none=True)
    return names


def accepts(model: PreTrainedModel, name: str) -> bool:
    """Whether the encoder's forward takes an input of that name."""
    return name in inspect.signature(model.forward).parameters


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except Exception as error:  # safetensors and pickle raise classes of their own
        raise IncompleteCheckpointError(f"{path} cannot be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
