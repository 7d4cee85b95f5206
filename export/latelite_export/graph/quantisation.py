"""fp32 graph -> int8 graph: fused products that quantise their input as it comes, weights with a scale per output."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from latelite_export.graph.operators import DOMAIN

Floats = NDArray[np.float32]

LIMIT = 127
"""Largest quantised weight; 63 leaves 7 bits, with which CPUs that have AVX2 but no VNNI cannot saturate."""


def quantise(
    model: onnx.ModelProto,
    *,
    keep_fp32: Collection[str] = (),
    limit: int = LIMIT,
    factors: Mapping[str, Floats] | None = None,
) -> onnx.ModelProto:
    """The int8 form of a graph, which is left as it is.

    Args:
        model: what `trace` gave.
        keep_fp32: names of products that stay in fp32, see `product_name`.
        limit: largest magnitude of a quantised weight.
        factors: activation -> (inputs,) factors that it is multiplied by while the weights behind it are divided.
    """
    return _Rewrite(model, frozenset(keep_fp32), limit, factors or {}).run()


def product_name(node: onnx.NodeProto) -> str:
    """Path of the torch module that a product comes from, e.g. ``backbone/encoder/layer.3/output/dense``."""
    return str(node.name).strip("/").removesuffix("/MatMul")


class _Rewrite:
    """One pass over the nodes; they stay in topological order."""

    def __init__(self, model: onnx.ModelProto, keep: frozenset[str], limit: int, factors: Mapping[str, Floats]) -> None:
        self._model = model
        self._keep = keep
        self._limit = limit
        self._factors = factors
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._consumers.setdefault(name, []).append(node)
        self._targets = {node.output[0] for node in model.graph.node if self._is_target(node)}
        self._nodes: list[onnx.NodeProto] = []
        self._new: dict[str, onnx.TensorProto] = {}
        self._done: set[str] = set()

    def run(self) -> onnx.ModelProto:
        for node in self._model.graph.node:
            if node.output[0] in self._done:
                continue
            if node.output[0] in self._targets:
                self._product(node)
            elif node.op_type == "Gather" and self._rank(node.input[0]) == 2 and node.input[1] == "input_ids":
                self._embedding(node)
            else:
                self._nodes.append(node)
        graph = self._model.graph
        used = {name for node in self._nodes for name in node.input}
        initializers = [tensor for tensor in graph.initializer if tensor.name in used] + list(self._new.values())
        opsets = [entry for entry in self._model.opset_import if entry.domain != DOMAIN]
        return helper.make_model(
            helper.make_graph(self._nodes, graph.name, graph.input, graph.output, initializers),
            opset_imports=[*opsets, helper.make_opsetid(DOMAIN, 1)],
            ir_version=self._model.ir_version,
            producer_name=self._model.producer_name,
            producer_version=self._model.producer_version,
        )

    def _is_target(self, node: onnx.NodeProto) -> bool:
        return node.op_type == "MatMul" and self._rank(node.input[1]) == 2 and product_name(node) not in self._keep

    def _rank(self, name: str) -> int:
        tensor = self._tensors.get(name)
        return 0 if tensor is None else len(tensor.dims)

    def _product(self, node: onnx.NodeProto) -> None:
        """Quantising, the product, scaling and the bias are one kernel, the output is written once."""
        activation, weight = node.input
        stem = weight
        weights = numpy_helper.to_array(self._tensors[weight])
        factors = self._factors.get(activation)
        if factors is not None:
            weights = weights / factors[:, None]
            stem = f"{weight}_evened"
            self._constant(f"{activation}_factors", factors)
            if f"{activation}_evened" not in self._done:
                self._done.add(f"{activation}_evened")
                self._emit("Mul", [activation, f"{activation}_factors"], f"{activation}_evened")
            activation = f"{activation}_evened"
        if f"{stem}_q" not in self._new:
            scale = _scales(weights, self._limit, axis=0)
            self._constant(f"{stem}_q", np.rint(weights / scale).astype(np.int8))
            self._constant(f"{stem}_scale", scale[0])
        bias, output = self._bias(node)
        if self._shared(node.input[0]):
            if f"{activation}_q" not in self._done:
                self._done.add(f"{activation}_q")
                parts = [f"{activation}_{part}" for part in ("q", "scale", "zero")]
                self._nodes.append(helper.make_node("DynamicQuantizeLinear", [activation], parts, f"{activation}_q"))
            kind = "MatMulIntegerToFloat"
            inputs = [f"{activation}_q", f"{stem}_q", f"{activation}_scale", f"{stem}_scale", f"{activation}_zero"]
        else:
            kind, inputs = "DynamicQuantizeMatMul", [activation, f"{stem}_q", f"{stem}_scale"]
        if bias:
            inputs += ["", bias]
        self._nodes.append(helper.make_node(kind, inputs, [output], node.name, domain=DOMAIN))

    def _bias(self, node: onnx.NodeProto) -> tuple[str, str]:
        """Name of the bias that is added to a product, "" if none is, and of the tensor that comes out."""
        consumers = self._consumers.get(node.output[0], [])
        if len(consumers) == 1 and consumers[0].op_type == "Add":
            for name in consumers[0].input:
                if self._rank(name) == 1:
                    self._done.add(consumers[0].output[0])
                    return name, consumers[0].output[0]
        return "", node.output[0]

    def _shared(self, activation: str) -> bool:
        """Whether several products take the same input (queries, keys and values)."""
        targets = [node for node in self._consumers[activation] if node.output[0] in self._targets]
        return len(targets) > 1

    def _embedding(self, node: onnx.NodeProto) -> None:
        """Rows as int8 with one scale per row: a row's size is its own, so one scale for all would cost rare words."""
        table, out = node.input[0], node.output[0]
        rows = numpy_helper.to_array(self._tensors[table])
        scale = _scales(rows, LIMIT, axis=1)
        self._constant(f"{table}_q", np.rint(rows / scale).astype(np.int8))
        self._constant(f"{table}_scale", scale)
        self._emit("Gather", [f"{table}_q", node.input[1]], f"{out}_q")
        self._emit("Gather", [f"{table}_scale", node.input[1]], f"{out}_scale")
        self._nodes.append(helper.make_node("Cast", [f"{out}_q"], [f"{out}_cast"], f"{out}_cast", to=TensorProto.FLOAT))
        self._emit("Mul", [f"{out}_cast", f"{out}_scale"], out)

    def _emit(self, kind: str, inputs: list[str], output: str) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [output], output))

    def _constant(self, name: str, value: NDArray[np.generic]) -> None:
        self._new[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)


def _scales(values: Floats, limit: int, *, axis: int) -> Floats:
    """Largest magnitude along ``axis`` over ``limit``, kept as an axis of one; 1 where everything is zero."""
    scale = np.abs(values).max(axis=axis, keepdims=True) / np.float32(limit)
    return np.where(scale == 0, np.float32(1), scale).astype(np.float32)
