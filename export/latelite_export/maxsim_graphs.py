"""Makes the graphs of `latelite.maxsim`, which are files in the runtime.

    python -m latelite_export.maxsim_graphs runtime/latelite/maxsim        (or ``make maxsim-graphs``)

Their inputs and outputs are described in `latelite.maxsim.graphs`. A test checks that the files are up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET = 18  # ReduceMax takes its axes as an input
_IR_VERSION = 8  # that of opset 18; older runtimes refuse newer ones


def maxima(kind: str) -> onnx.ModelProto:
    """The graph of `latelite.maxsim.graphs.session`: ``"float32"``, ``"int7"`` or ``"int14"``."""
    constants = [numpy_helper.from_array(np.array([1], np.int64), "axis")]
    element = TensorProto.FLOAT if kind == "float32" else TensorProto.INT32
    if kind == "float32":
        inputs = [_value("tokens", TensorProto.FLOAT, 3), _value("query", TensorProto.FLOAT)]
        product = [helper.make_node("MatMul", ["tokens", "query"], ["products"])]
    elif kind == "int7":
        inputs = [_value("tokens", TensorProto.UINT8, 3), _value("high", TensorProto.INT8)]
        product = [helper.make_node("MatMulInteger", ["tokens", "high"], ["products"])]
    else:
        inputs = [_value("tokens", TensorProto.UINT8, 3), *(_value(n, TensorProto.INT8) for n in ("high", "low"))]
        product = [
            helper.make_node("MatMulInteger", ["tokens", "high"], ["high_products"]),
            helper.make_node("MatMulInteger", ["tokens", "low"], ["low_products"]),
            helper.make_node("Mul", ["high_products", "step"], ["scaled"]),
            helper.make_node("Add", ["scaled", "low_products"], ["products"]),
        ]
        constants.append(numpy_helper.from_array(np.array(128, np.int32), "step"))
    nodes = [
        *product,
        helper.make_node("ReduceMax", ["products", "axis"], ["group_maxima"], keepdims=0),
        helper.make_node("ScatterND", ["start", "owners", "group_maxima"], ["most"], reduction="max"),
        helper.make_node("Gather", ["products", "shared"], ["shared_products"], axis=0),
        helper.make_node("ScatterND", ["most", "token_owners", "shared_products"], ["maxima"], reduction="max"),
    ]
    inputs += [
        _value("owners", TensorProto.INT64),
        _value("shared", TensorProto.INT64, 1),
        _value("token_owners", TensorProto.INT64, 3),
        _value("start", element),
    ]
    return _model(nodes, inputs, _value("maxima", element), constants)


def products() -> onnx.ModelProto:
    """The graph of `latelite.maxsim.graphs.products`."""
    node = helper.make_node("MatMulInteger", ["rows", "columns", "zero"], ["products"])
    inputs = [_value("rows", TensorProto.UINT8), _value("columns", TensorProto.INT8)]
    zero = numpy_helper.from_array(np.array(128, np.uint8), "zero")
    return _model([node], inputs, _value("products", TensorProto.INT32), [zero])


def all_graphs() -> dict[str, onnx.ModelProto]:
    """File name -> graph."""
    found = {f"{kind}.onnx": maxima(kind) for kind in ("float32", "int7", "int14")}
    return {**found, "products.onnx": products()}


def _value(name: str, element: int, rank: int = 2) -> onnx.ValueInfoProto:
    """A tensor of any size."""
    return helper.make_tensor_value_info(name, element, [None] * rank)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    output: onnx.ValueInfoProto,
    constants: list[onnx.TensorProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "maxsim", inputs, [output], constants)
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="latelite")
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    for name, model in all_graphs().items():
        (Path(sys.argv[1]) / name).write_bytes(model.SerializeToString(deterministic=True))
