"""What tracing leaves behind: constants as nodes, weights under changing names, notes on where the code was."""

from __future__ import annotations

import onnx
from onnx import helper


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with constants as initializers, each only once, and without notes.

    Weights that the tracer transposed are named by a running number; they take the name of their product, which does
    not change when something else in the encoder does.
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
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
    )
