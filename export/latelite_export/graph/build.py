"""Encoder, projection and normalisation as one graph."""

from __future__ import annotations

import logging

import numpy as np
import onnx

from latelite_export.encoder import EPSILON, Dense, Encoder
from latelite_export.graph.attention import Attended
from latelite_export.graph.encoders import layers
from latelite_export.graph.writer import OUTPUT, UnknownFormError, Writer

logger = logging.getLogger(__name__)

_ACTIVATIONS = {"Identity": "", "Tanh": "tanh", "GELU": "gelu", "ReLU": "relu", "SiLU": "silu", "Sigmoid": "sigmoid"}
"""Class of torch.nn, created without arguments -> name used by `Writer.activation`."""


def write(encoder: Encoder, *, masked: bool) -> onnx.ModelProto | None:
    """The encoder as an fp32 graph of fused operators; the same encoder always gives the same bytes.

    It is written from the checkpoint's tensors and configuration, not traced, so it does not depend on the installed
    transformers. The gate compares the two.

    Args:
        encoder: backbone, projection and normalisation.
        masked: whether texts may have unattended tokens. These follow the attended ones, the same number in all texts
            of a batch; the graph refuses other batches.

    Returns:
        A graph with int64 input ``input_ids`` and, if ``masked``, ``attention_mask``, each (texts, tokens), and
        float32 output ``token_vectors`` (texts, tokens, dim). None if the encoder has no fused form and must be
        traced.
    """
    if encoder.configuration.architecture is None:
        return None
    tensors = {f"backbone.{name}": np.asarray(tensor.numpy()) for name, tensor in encoder.source.tensors.items()}
    head: list[Dense] = list(encoder.head)  # type: ignore[arg-type]
    for number, layer in enumerate(head):
        tensors |= {f"head.{number}.{name}": value.numpy() for name, value in layer.state_dict().items()}
    writer = Writer(tensors)
    try:
        hidden = layers(writer, encoder.backbone.config, Attended(writer, masked=masked))
        hidden = _project(writer, head, hidden, encoder.dim)
    except UnknownFormError as error:
        logger.info("%s has no fused form (%s).", encoder.architecture, error)
        return None
    norms = writer.node("ReduceL2", hidden, writer.ints(-1), keepdims=1)
    lengths = writer.node("Clip", norms, writer.initializer("epsilon", np.array(EPSILON, np.float32)))
    writer.node("Div", hidden, lengths, output=OUTPUT)
    dim = encoder.dim or (head[-1].layer.out_features if head else int(encoder.backbone.config.hidden_size))
    return writer.model(("input_ids", "attention_mask") if masked else ("input_ids",), dim)


def _project(w: Writer, head: list[Dense], hidden: str, dim: int | None) -> str:
    """``activation(linear(x))`` plus the residual, layer by layer, then the first ``dim`` dimensions."""
    for number, dense in enumerate(head):
        activation = dense.layer.activation.rpartition(".")[2]
        if activation not in _ACTIVATIONS:
            raise UnknownFormError(f"the activation {activation}")
        projected = w.linear(f"head.{number}.linear", hidden)
        if _ACTIVATIONS[activation]:
            projected = w.activation(_ACTIVATIONS[activation], projected)
        if dense.shortcut is not None:
            inside = w.has(f"head.{number}.shortcut.weight")
            residual = w.linear(f"head.{number}.shortcut", hidden) if inside else hidden
            projected = w.node("Add", projected, residual)
        hidden = projected
    if dim is None:
        return hidden
    return w.node("Slice", hidden, w.ints(0), w.ints(dim), w.ints(-1))
