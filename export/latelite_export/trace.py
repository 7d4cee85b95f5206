"""torch module -> ONNX graph by tracing, for encoders without a fused form."""

from __future__ import annotations

import io

import onnx
import torch
from onnx import helper

from latelite_export.checkpoint import first_line
from latelite_export.encoder import Encoder
from latelite_export.errors import UnsupportedCheckpointError
from latelite_export.graph.writer import IR_VERSION, OUTPUT
from latelite_export.silence import silence

_OPSET = 18
_AXES = {0: "texts", 1: "tokens"}


def trace(encoder: Encoder) -> onnx.ModelProto:
    """Trace an encoder to an fp32 ONNX model; the same encoder always gives the same bytes.

    Inputs int64 (texts, tokens), both axes dynamic; output float32 (texts, tokens, dim).

    Raises:
        UnsupportedCheckpointError: the tracer cannot follow the encoder's code.
    """
    buffer = io.BytesIO()
    try:
        with torch.no_grad(), silence():
            torch.onnx.export(
                encoder,
                _example(encoder.inputs),
                buffer,  # type: ignore[arg-type] # accepts a file, by its documentation; the annotation is incomplete
                input_names=list(encoder.inputs),
                output_names=[OUTPUT],
                dynamic_axes=dict.fromkeys((*encoder.inputs, OUTPUT), _AXES),
                opset_version=_OPSET,
                # dynamo=True needs onnxscript, and numbers its nodes instead of naming them.
                dynamo=False,
            )
    except Exception as error:  # the encoder's own code may raise anything
        raise UnsupportedCheckpointError(
            f"{encoder.architecture} cannot be traced: {type(error).__name__}: {first_line(error)}"
        ) from error
    model = _tidy(onnx.load_model_from_string(buffer.getvalue()))
    onnx.checker.check_model(model)
    return model


def _example(inputs: tuple[str, ...]) -> tuple[torch.Tensor, ...]:
    """Two texts of different lengths, so that no axis looks constant and masks are traced."""
    mask = torch.ones((2, 11), dtype=torch.int64)
    mask[1, 7:] = 0
    examples = {
        # No known vocabulary has padding id 5; if one does, position ids are still traced.
        "input_ids": torch.full((2, 11), 5, dtype=torch.int64),
        "attention_mask": mask,
        "token_type_ids": torch.zeros((2, 11), dtype=torch.int64),
    }
    return tuple(examples[name] for name in inputs)


def _tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """Turn constants into unique initializers, and drop source locations.

    The tracer gives transposed weights a running number; they get the name of their product instead, which does not
    depend on the rest of the encoder.
    """
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    known: dict[bytes, str] = {}
    names: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        output = node.output[0]
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            value = node.attribute[0].t
            first = known.setdefault(value.SerializeToString(), output)
            names[output] = first
            if first == output:
                tensors[output] = onnx.TensorProto()
                tensors[output].CopyFrom(value)
        elif node.op_type == "Identity" and node.input[0] in tensors:  # one parameter under two names
            names[output] = node.input[0]
        else:
            nodes.append(node)
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.doc_string = ""
        del node.metadata_props[:]
    weights = {
        node.input[1]: f"{node.name.strip('/').removesuffix('/MatMul')}/weight"
        for node in reversed(nodes)
        if node.op_type == "MatMul" and node.input[1].startswith("onnx::")
    }
    used = dict.fromkeys(name for node in nodes for name in node.input if name in tensors)
    for node in nodes:
        node.input[:] = [weights.get(name, name) for name in node.input]
    initializers = []
    for name in used:
        tensors[name].name = weights.get(name, name)
        tensors[name].doc_string = ""
        initializers.append(tensors[name])
    return helper.make_model(
        helper.make_graph(nodes, "encoder", graph.input, graph.output, initializers),
        opset_imports=model.opset_import,
        ir_version=min(model.ir_version, IR_VERSION),
        producer_name=model.producer_name,
        producer_version=model.producer_version,
    )
