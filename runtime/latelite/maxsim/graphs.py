"""The products behind `latelite.maxsim`, as graphs that ONNX Runtime computes.

NumPy's product with OpenBLAS packs the tall block of tokens and lets its threads spin between calls; ONNX Runtime packs
the narrow query instead, knows int8 dot products (VNNI, AMX, Arm's UDOT), and runs on the calling thread alone. The
graphs are five to eight nodes. They are written here as bytes in ONNX's protobuf format, since the onnx package is no
part of the runtime; `tests/runtime/test_maxsim_graphs.py` has it check them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Literal

import onnxruntime

GROUP = 8
"""Neighbouring tokens whose maximum is taken inside the graph."""

Kind = Literal["float32", "int7", "int14"]
"""What is multiplied: float32 with float32, or uint8 codes with query components of 7 or of 7 + 7 bits."""

_OPSET = 18  # ReduceMax takes its axes as an input
_IR_VERSION = 8
_FLOAT, _UINT8, _INT8, _INT32, _INT64 = 1, 2, 3, 6, 7  # onnx.TensorProto.DataType


@cache
def session(kind: Kind) -> onnxruntime.InferenceSession:
    """The session that computes the products of one kind. It may be run from several threads."""
    return _loaded(graph(kind))


@cache
def products() -> onnxruntime.InferenceSession:
    """The session of `product_graph`."""
    return _loaded(product_graph())


def _loaded(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])


def graph(kind: Kind) -> bytes:
    """An ONNX model, serialised.

    Inputs:
        tokens: (groups, `GROUP`, dim) float32 or uint8.
        query: (dim, query tokens) float32, or ``high`` and, for int14, ``low``: int8.
        owners: (groups, 1) int64, the document of each group.
        shared: (s,) int64, the groups that documents share.
        token_owners: (s, GROUP, 1) int64, the document of each token of those.
        start: (documents, query tokens) float32 or int32, what the maxima are at least.

    Output ``maxima``: (documents, query tokens) float32 or int32, for each document the maximum of ``start`` and of the
    products of its groups and tokens. For int14 a product is 128 * (tokens @ high) + tokens @ low, which 32 bits hold
    for up to 1,024 dimensions and parts from -63 to 63 and -64 to 63.
    """
    constants = []
    if kind == "float32":
        inputs = [_value("tokens", _FLOAT, 3), _value("query", _FLOAT)]
        product = [_node("MatMul", ["tokens", "query"], "products")]
    elif kind == "int7":
        inputs = [_value("tokens", _UINT8, 3), _value("high", _INT8)]
        product = [_node("MatMulInteger", ["tokens", "high"], "products")]
    else:
        inputs = [_value("tokens", _UINT8, 3), _value("high", _INT8), _value("low", _INT8)]
        product = [
            _node("MatMulInteger", ["tokens", "high"], "high_products"),
            _node("MatMulInteger", ["tokens", "low"], "low_products"),
            _node("Mul", ["high_products", "step"], "scaled"),
            _node("Add", ["scaled", "low_products"], "products"),
        ]
        constants.append(_constant("step", _INT32, (128).to_bytes(4, "little")))
    nodes = [
        *product,
        _node("ReduceMax", ["products", "axis"], "group_maxima", keepdims=0),
        _node("ScatterND", ["start", "owners", "group_maxima"], "most", reduction="max"),
        _node("Gather", ["products", "shared"], "shared_products", axis=0),
        _node("ScatterND", ["most", "token_owners", "shared_products"], "maxima", reduction="max"),
    ]
    constants.append(_constant("axis", _INT64, (1).to_bytes(8, "little"), 1))
    element = _FLOAT if kind == "float32" else _INT32
    inputs += [
        _value("owners", _INT64),
        _value("shared", _INT64, 1),
        _value("token_owners", _INT64, 3),
        _value("start", element),
    ]
    return _model(nodes, constants, inputs, _value("maxima", element))


def product_graph() -> bytes:
    """An ONNX model, serialised: ``rows`` (n, dim) uint8, less 128, times ``columns`` (dim, m) int8.

    Its output ``products`` is (n, m) int32.
    """
    node = _node("MatMulInteger", ["rows", "columns", "zero"], "products")
    inputs = [_value("rows", _UINT8), _value("columns", _INT8)]
    return _model([node], [_constant("zero", _UINT8, bytes([128]))], inputs, _value("products", _INT32))


# ---------------------------------------------- onnx.proto: ModelProto, NodeProto, ValueInfoProto, TensorProto


def _model(nodes: Iterable[bytes], constants: Iterable[bytes], inputs: Iterable[bytes], output: bytes) -> bytes:
    content = b"".join(
        [
            *(_field(1, node) for node in nodes),
            _field(2, b"maxsim"),
            *(_field(5, constant) for constant in constants),
            *(_field(11, value) for value in inputs),
            _field(12, output),
        ]
    )
    opset = _field(1, b"") + _field(2, _OPSET)
    return _field(1, _IR_VERSION) + _field(2, b"latelite") + _field(7, content) + _field(8, opset)


def _node(operator: str, inputs: Iterable[str], output: str, **attributes: int | str) -> bytes:
    return b"".join(
        [
            *(_field(1, name.encode()) for name in inputs),
            _field(2, output.encode()),
            _field(4, operator.encode()),
            *(_field(5, _field(1, name.encode()) + _attribute(value)) for name, value in attributes.items()),
        ]
    )


def _attribute(value: int | str) -> bytes:
    integer, string = 2, 3  # AttributeProto.AttributeType
    if isinstance(value, int):
        return _field(3, value) + _field(20, integer)
    return _field(4, value.encode()) + _field(20, string)


def _value(name: str, element: int, rank: int = 2) -> bytes:
    """A tensor of any size."""
    shape = _field(1, b"") * rank
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, element) + _field(2, shape)))


def _constant(name: str, element: int, data: bytes, *shape: int) -> bytes:
    dimensions = b"".join(_field(1, size) for size in shape)
    return dimensions + _field(2, element) + _field(8, name.encode()) + _field(9, data)


def _field(number: int, value: int | bytes) -> bytes:
    """One protobuf field: an integer as varint, bytes with their length in front."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low]) if not rest else bytes([low | 0x80]) + _varint(rest)


def parts(kind: Kind, query: Iterable[Any]) -> dict[str, Any]:
    """The query's inputs of `graph` by name: one array of float32 or int7, two of int14."""
    names = {"float32": ("query",), "int7": ("high",), "int14": ("high", "low")}[kind]
    return dict(zip(names, query, strict=True))
