"""fp32 graph -> dynamic int8 graph: 8-bit weights with a scale per channel, activations quantised as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType
from optimum.onnxruntime import AutoQuantizationConfig, QuantizationConfig

Scheme = Literal["int8", "int8-avx2", "fp32"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """A matrix product with constant weights."""

    name: str
    """Readable: the path of the torch module, e.g. ``backbone/encoder/layer.3/output/dense``."""
    node: str
    input: str
    """Name of the activation tensor, (texts, tokens, inputs)."""
    weight: str
    """Name of the initializer, (inputs, outputs)."""
    size: int
    """inputs * outputs: what one token costs."""


@dataclass(frozen=True)
class Plan:
    """What to do differently from plain quantisation."""

    fp32: frozenset[str] = frozenset()
    """Names of products that stay in fp32."""
    factors: Mapping[str, Floats] = field(default_factory=dict)
    """Activation tensor -> (inputs,) factors: the activation is multiplied by them and the weights are divided, which
    changes nothing in exact arithmetic but evens out channels before they share one scale."""


def config(scheme: Scheme) -> QuantizationConfig:
    """optimum's preset for a scheme.

    int8-avx2 takes the weights' type from the preset of ``int8``: on CPUs with VNNI, unsigned weights cost 1.2 to 2.1
    times as much as signed ones, and with 7-bit weights signed ones do not saturate on AVX2 either.
    """
    if scheme == "fp32":
        raise ValueError("fp32 is not a quantisation scheme.")
    preset = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    if scheme == "int8-avx2":
        avx2 = AutoQuantizationConfig.avx2(is_static=False, per_channel=True, reduce_range=True)
        preset.reduce_range = avx2.reduce_range
    return preset


def products(model: onnx.ModelProto) -> tuple[Product, ...]:
    """All products of an activation with constant weights, in graph order."""
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return tuple(
        Product(
            name=node.name.strip("/").removesuffix("/MatMul"),
            node=node.name,
            input=node.input[0],
            weight=node.input[1],
            size=int(np.prod(weights[node.input[1]])),
        )
        for node in model.graph.node
        if node.op_type == "MatMul" and len(weights.get(node.input[1], ())) == 2
    )


Cache = dict[tuple[str, int | None], Sequence[onnx.TensorProto]]
"""What was quantised before: (initializer, identity of the factors) -> tensors."""


def quantize(
    model: onnx.ModelProto, scheme: Scheme, plan: Plan | None = None, *, cache: Cache | None = None
) -> onnx.ModelProto:
    """The int8 form of ``model``, which is left as it is.

    ``cache`` may be shared by calls with the same model and scheme whose plans share their factors' arrays.

    The preset's quantiser is not used: it gives the embedding table one scale for all rows, cannot even out
    activations, and takes seconds for each variant that `repair` tries. What it would emit for a product
    (DynamicQuantizeLinear, MatMulInteger, Cast, Mul) is emitted here too, so ONNX Runtime fuses it the same way.
    """
    settings = config(scheme)
    if settings.weights_dtype != QuantType.QInt8 or not (settings.weights_symmetric and settings.per_channel):
        raise NotImplementedError("optimum's preset asks for weights that are not signed, symmetric and per channel.")
    limit = 63 if settings.reduce_range else 127
    return _Rewrite(model, plan or Plan(), limit, {} if cache is None else cache).run()


class _Rewrite:
    """One pass over the nodes; emits new ones in topological order."""

    def __init__(self, model: onnx.ModelProto, plan: Plan, limit: int, cache: Cache) -> None:
        self._model = model
        self._plan = plan
        self._limit = limit
        self._cache = cache
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._targets = {product.node: product for product in products(model) if product.name not in plan.fp32}
        self._nodes: list[onnx.NodeProto] = []
        self._new: dict[str, onnx.TensorProto] = {}
        self._quantized: set[str] = set()

    def run(self) -> onnx.ModelProto:
        for node in self._model.graph.node:
            if node.name in self._targets:
                self._product(node, self._targets[node.name])
            elif node.op_type == "Gather" and node.input[0] in self._tensors and node.input[1] == "input_ids":
                self._embedding(node)
            else:
                self._nodes.append(node)
        graph = self._model.graph
        used = {name for node in self._nodes for name in node.input}
        initializers = [tensor for tensor in graph.initializer if tensor.name in used] + list(self._new.values())
        return helper.make_model(
            helper.make_graph(self._nodes, graph.name, graph.input, graph.output, initializers),
            opset_imports=self._model.opset_import,
            ir_version=self._model.ir_version,
            producer_name=self._model.producer_name,
            producer_version=self._model.producer_version,
        )

    def _product(self, node: onnx.NodeProto, product: Product) -> None:
        factors = self._plan.factors.get(product.input)
        activation = product.input
        stem = activation if factors is None else f"{activation}_evened"
        if stem not in self._quantized:
            self._quantized.add(stem)
            if factors is not None:
                self._add([_tensor(f"{stem}_factors", factors)])
                self._emit("Mul", [activation, f"{stem}_factors"], [stem])
            self._emit("DynamicQuantizeLinear", [stem], [f"{stem}_q", f"{stem}_scale", f"{stem}_zero"])
        weight, scale, zero = self._weight(product.weight, factors)
        out = node.output[0]
        self._emit("MatMulInteger", [f"{stem}_q", weight, f"{stem}_zero", zero], [f"{out}_int32"])
        self._nodes.append(
            helper.make_node("Cast", [f"{out}_int32"], [f"{out}_cast"], f"{out}_cast", to=TensorProto.FLOAT)
        )
        self._emit("Mul", [f"{stem}_scale", scale], [f"{out}_scale"])
        self._emit("Mul", [f"{out}_cast", f"{out}_scale"], [out])

    def _embedding(self, node: onnx.NodeProto) -> None:
        """Rows as int8 with one scale per row."""
        table, out = node.input[0], node.output[0]
        if (table, None) not in self._cache:
            rows = numpy_helper.to_array(self._tensors[table])
            scale = _scales(rows, 127, axis=1)
            self._cache[table, None] = (
                _tensor(f"{table}_q", np.rint(rows / scale).astype(np.int8)),
                _tensor(f"{table}_scale", scale),
            )
        self._add(self._cache[table, None])
        codes = f"{out}_codes"
        self._emit("Gather", [f"{table}_q", node.input[1]], [codes])
        self._emit("Gather", [f"{table}_scale", node.input[1]], [f"{codes}_scale"])
        self._nodes.append(helper.make_node("Cast", [codes], [f"{codes}_cast"], f"{codes}_cast", to=TensorProto.FLOAT))
        self._emit("Mul", [f"{codes}_cast", f"{codes}_scale"], [out])

    def _weight(self, name: str, factors: Floats | None) -> tuple[str, str, str]:
        """Names of the int8 weights, their scales (outputs,) and their zero points."""
        stem = name if factors is None else f"{name}_evened"
        key = (name, None if factors is None else id(factors))
        if key not in self._cache:
            weights = numpy_helper.to_array(self._tensors[name])
            if factors is not None:
                weights = weights / factors[:, None]
            scale = _scales(weights, self._limit, axis=0)
            self._cache[key] = (
                _tensor(f"{stem}_q", np.rint(weights / scale).astype(np.int8)),
                _tensor(f"{stem}_scale", scale[0]),
                _tensor(f"{stem}_zero", np.zeros(weights.shape[1], np.int8)),
            )
        self._add(self._cache[key])
        return f"{stem}_q", f"{stem}_scale", f"{stem}_zero"

    def _emit(self, kind: str, inputs: list[str], outputs: list[str]) -> None:
        self._nodes.append(helper.make_node(kind, inputs, outputs, outputs[0]))

    def _add(self, tensors: Sequence[onnx.TensorProto]) -> None:
        self._new |= {tensor.name: tensor for tensor in tensors}


def _tensor(name: str, value: NDArray[Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(value), name)


def _scales(values: Floats, limit: int, *, axis: int) -> Floats:
    """Largest magnitude along ``axis`` over ``limit``, kept as an axis of one; 1 where everything is zero."""
    scale = np.abs(values).max(axis=axis, keepdims=True) / np.float32(limit)
    return np.where(scale == 0, np.float32(1), scale).astype(np.float32)
