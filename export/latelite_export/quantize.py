"""fp32 graph -> dynamic int8 graph: fused products that quantise their input at run time, and 8-bit weights with a
scale per output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from latelite_export.graph.writer import DOMAIN

Scheme = Literal["int8", "int8-avx2", "fp32"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

Floats = NDArray[np.float32]

_LIMITS: dict[Scheme, int] = {"int8": 127, "int8-avx2": 63}
"""Largest magnitude of a quantised weight. Both schemes are signed: unsigned weights are 1.2 to 2.1 times slower on
CPUs with VNNI. Signed 7-bit weights do not saturate on CPUs with AVX2 and without VNNI."""

Cache = dict[tuple[str, int | None], Sequence[onnx.TensorProto]]
"""(initializer, identity of the factors) -> codes and scales."""


@dataclass(frozen=True)
class Product:
    """A matrix product with constant weights."""

    name: str
    """Path of the torch module, e.g. ``backbone/encoder/layer.3/output/dense``."""
    input: str
    """Name of the activation tensor, (texts, tokens, inputs)."""
    weight: str
    """Name of the initializer, (inputs, outputs)."""
    size: int
    """inputs * outputs: multiplications per token."""


@dataclass(frozen=True)
class Plan:
    """Deviations from plain quantisation."""

    fp32: frozenset[str] = frozenset()
    """Names of products kept in fp32."""
    factors: Mapping[str, Floats] = field(default_factory=dict)
    """Activation tensor -> (inputs,) factors. The activation is multiplied by them and the weights are divided by them:
    no change in exact arithmetic, but channels get similar ranges before they share one scale."""


def limit(scheme: Scheme) -> int:
    """Largest magnitude of a quantised weight.

    Raises:
        ValueError: ``scheme`` is not an int8 scheme.
    """
    if scheme not in _LIMITS:
        raise ValueError(f"{scheme} is not a quantisation scheme.")
    return _LIMITS[scheme]


def quantize(
    model: onnx.ModelProto, scheme: Scheme, plan: Plan | None = None, *, cache: Cache | None = None
) -> onnx.ModelProto:
    """The int8 form of ``model``, fused or traced; ``model`` is not changed.

    Args:
        model: the fp32 graph.
        scheme: an int8 scheme.
        plan: deviations from plain quantisation.
        cache: avoids re-quantising the same weights in several calls with the same model and scheme; plans must then
            share the arrays of their factors.
    """
    return _Rewrite(model, plan or Plan(), limit(scheme), {} if cache is None else cache).run()


def round_weights(weights: Floats, scheme: Scheme) -> Floats:
    """Weights (inputs, outputs) after quantisation and dequantisation."""
    scale = _scales(weights, limit(scheme), axis=0)
    rounded: Floats = (np.rint(weights / scale) * scale).astype(np.float32, copy=False)
    return rounded


def products(model: onnx.ModelProto) -> tuple[Product, ...]:
    """All products of an activation with constant weights, in graph order."""
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return tuple(
        Product(
            name=product_name(node),
            input=node.input[0],
            weight=node.input[1],
            size=int(np.prod(weights[node.input[1]])),
        )
        for node in model.graph.node
        if node.op_type == "MatMul" and len(weights.get(node.input[1], ())) == 2
    )


def product_name(node: onnx.NodeProto) -> str:
    """Path of the layer that a product comes from, e.g. ``backbone/encoder/layer.3/output/dense``."""
    return str(node.name).strip("/").removesuffix("/MatMul")


class _Rewrite:
    """One pass over the nodes, in topological order."""

    def __init__(
        self,
        model: onnx.ModelProto,
        plan: Plan,
        largest: int,
        cache: Cache,
    ) -> None:
        self._model = model
        self._keep = plan.fp32
        self._limit = largest
        self._factors = plan.factors
        self._cache = cache
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
        """Emit quantisation, product, scaling and bias as one kernel, which writes its output once."""
        activation, weight = node.input
        stem = weight
        factors = self._factors.get(activation)
        if factors is not None:
            stem = f"{weight}_evened"
            self._add([_tensor(f"{activation}_factors", factors)])
            if f"{activation}_evened" not in self._done:
                self._done.add(f"{activation}_evened")
                self._emit("Mul", [activation, f"{activation}_factors"], f"{activation}_evened")
            activation = f"{activation}_evened"
        self._weights(weight, stem, factors)
        bias, output = self._bias(node)
        if self._is_shared(node.input[0]):
            if f"{activation}_q" not in self._done:
                self._done.add(f"{activation}_q")
                parts = [f"{activation}_{part}" for part in ("q", "scale", "zero")]
                self._nodes.append(helper.make_node("DynamicQuantizeLinear", [activation], parts, f"{activation}_q"))
            kind = "MatMulIntegerToFloat"
            inputs = [f"{activation}_q", f"{stem}_q", f"{activation}_scale", f"{stem}_scale", f"{activation}_zero"]
        else:
            kind, inputs = "DynamicQuantizeMatMul", [activation, f"{stem}_q", f"{stem}_scale"]
        inputs += [self._zero(output)] + ([bias] if bias else [])
        self._nodes.append(helper.make_node(kind, inputs, [output], node.name, domain=DOMAIN))

    def _weights(self, name: str, stem: str, factors: Floats | None) -> None:
        """Add the initializers ``<stem>_q`` (inputs, outputs) and ``<stem>_scale`` (outputs,)."""
        key = (name, None if factors is None else id(factors))
        if key not in self._cache:
            weights = numpy_helper.to_array(self._tensors[name])
            if factors is not None:
                weights = weights / factors[:, None]
            scale = _scales(weights, self._limit, axis=0)
            codes = np.rint(weights / scale).astype(np.int8)
            self._cache[key] = _tensor(f"{stem}_q", codes), _tensor(f"{stem}_scale", scale[0])
        self._add(self._cache[key])

    def _zero(self, output: str) -> str:
        """Add a zero point (1,) for one product.

        A zero point of 0 could be omitted or shared, but for `latelite.session`, which on x86 without VNNI makes ONNX
        Runtime convert products to unsigned. It then sets each zero point to 128: 1.20 aborts if there is none, and
        all releases up to 1.32 refuse one that is used twice.
        """
        name = f"{output}_weight_zero"
        self._add([_tensor(name, np.zeros(1, dtype=np.int8))])
        return name

    def _bias(self, node: onnx.NodeProto) -> tuple[str, str]:
        """Name of a product's bias ("" if it has none), and of the output."""
        consumers = self._consumers.get(node.output[0], [])
        if len(consumers) == 1 and consumers[0].op_type == "Add":
            outputs = self._tensors[node.input[1]].dims[1]
            for name in consumers[0].input:
                if self._rank(name) == 1 and self._tensors[name].dims[0] == outputs:
                    self._done.add(consumers[0].output[0])
                    return name, consumers[0].output[0]
        return "", node.output[0]

    def _is_shared(self, activation: str) -> bool:
        """Whether several products have this input (queries, keys and values)."""
        targets = [node for node in self._consumers[activation] if node.output[0] in self._targets]
        return len(targets) > 1

    def _embedding(self, node: onnx.NodeProto) -> None:
        """Quantise rows to int8 with a scale each: norms differ, and one common scale would hurt rare words."""
        table, out = node.input[0], node.output[0]
        if (table, None) not in self._cache:
            rows = numpy_helper.to_array(self._tensors[table])
            scale = _scales(rows, limit("int8"), axis=1)
            codes = np.rint(rows / scale).astype(np.int8)
            self._cache[table, None] = _tensor(f"{table}_q", codes), _tensor(f"{table}_scale", scale)
        self._add(self._cache[table, None])
        self._emit("Gather", [f"{table}_q", node.input[1]], f"{out}_q")
        self._emit("Gather", [f"{table}_scale", node.input[1]], f"{out}_scale")
        self._nodes.append(helper.make_node("Cast", [f"{out}_q"], [f"{out}_cast"], f"{out}_cast", to=TensorProto.FLOAT))
        self._emit("Mul", [f"{out}_cast", f"{out}_scale"], out)

    def _emit(self, kind: str, inputs: list[str], output: str) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [output], output))

    def _add(self, tensors: Sequence[onnx.TensorProto]) -> None:
        self._new |= {tensor.name: tensor for tensor in tensors}


def _tensor(name: str, value: NDArray[np.generic]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(value), name)


def _scales(values: Floats, largest: int, *, axis: int) -> Floats:
    """Largest magnitude along ``axis`` divided by ``largest``, with ``axis`` kept; 1 where all values are zero."""
    scale = np.abs(values).max(axis=axis, keepdims=True) / np.float32(largest)
    return np.where(scale == 0, np.float32(1), scale).astype(np.float32)
