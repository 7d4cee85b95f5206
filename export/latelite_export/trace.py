"""torch module -> ONNX graph, by tracing."""

from __future__ import annotations

import contextlib
import io
import logging

import onnx
import torch
from optimum.exporters.onnx import OnnxConfig
from optimum.exporters.tasks import TasksManager

from latelite_export.encoder import Encoder
from latelite_export.silence import silence

logger = logging.getLogger(__name__)

OUTPUT = "token_vectors"
MINIMUM_ONNXRUNTIME = "1.20"
IR_VERSION = 10
"""The newest that ONNX Runtime 1.20 reads."""
_DEFAULT_OPSET = 18
AXES = {0: "texts", 1: "tokens"}


def trace(encoder: Encoder) -> onnx.ModelProto:
    """The encoder as an fp32 ONNX model; the same encoder always gives the same bytes.

    Inputs int64 (texts, tokens), both axes dynamic; output float32 (texts, tokens, dim).
    """
    config = _export_config(encoder)
    # optimum's main_export stops at the last hidden state, so its configuration is used (opset, and the patches that
    # make an architecture traceable) but the call is torch's own, on the module with projection and normalisation.
    patched = config.patch_model_for_export(encoder.backbone) if config else contextlib.nullcontext()
    buffer = io.BytesIO()
    with torch.no_grad(), silence(), patched:
        torch.onnx.export(
            encoder,
            _example(encoder.inputs),
            buffer,  # type: ignore[arg-type] # takes a file, documented and in use, only its annotation forgot
            input_names=list(encoder.inputs),
            output_names=[OUTPUT],
            dynamic_axes=dict.fromkeys((*encoder.inputs, OUTPUT), AXES),
            opset_version=config.DEFAULT_ONNX_OPSET if config else _DEFAULT_OPSET,
            # The torch.export route needs onnxscript and names its nodes by numbers that no fusion recognises.
            dynamo=False,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    _strip(model)
    model.ir_version = min(model.ir_version, IR_VERSION)
    onnx.checker.check_model(model)
    return model


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that the model uses."""
    return int(next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")))


def input_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """What the graph has to be fed, in order."""
    return tuple(entry.name for entry in model.graph.input)


def _export_config(encoder: Encoder) -> OnnxConfig | None:
    """optimum's export configuration, None for architectures that it does not know."""
    kind = encoder.backbone.config.model_type
    try:
        constructor = TasksManager.get_exporter_config_constructor(
            "onnx", model_type=kind, task="feature-extraction", library_name="transformers"
        )
    except (KeyError, ValueError):
        logger.info("optimum has no export configuration for %s; tracing it as it is.", kind)
        return None
    return constructor(encoder.backbone.config, task="feature-extraction")


def _example(inputs: tuple[str, ...]) -> tuple[torch.Tensor, ...]:
    """Two texts of different lengths, so that no axis is mistaken for a constant 1 and masks are traced."""
    mask = torch.ones((2, 11), dtype=torch.int64)
    mask[1, 7:] = 0
    examples = {
        # 5 is no padding id in any known vocabulary; where it is, position ids are traced all the same.
        "input_ids": torch.full((2, 11), 5, dtype=torch.int64),
        "attention_mask": mask,
        "token_type_ids": torch.zeros((2, 11), dtype=torch.int64),
    }
    return tuple(examples[name] for name in inputs)


def _strip(model: onnx.ModelProto) -> None:
    """Remove what says where and how the file was made: paths of source files, scopes, stack traces."""
    model.doc_string = ""
    model.graph.doc_string = ""
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
