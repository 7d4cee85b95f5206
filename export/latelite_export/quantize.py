"""fp32 graph -> dynamic int8 graph: 8-bit weights with a scale per channel, activations quantised as they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType
from optimum.onnxruntime import AutoQuantizationConfig, QuantizationConfig

from latelite_export.graph.quantisation import LIMIT, Cache, product_name, quantise

Scheme = Literal["int8", "int8-avx2", "fp32"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """A matrix product with constant weights."""

    name: str
    """Readable: the path of the torch module, e.g. ``backbone/encoder/layer.3/output/dense``."""
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
            name=product_name(node),
            input=node.input[0],
            weight=node.input[1],
            size=int(np.prod(weights[node.input[1]])),
        )
        for node in model.graph.node
        if node.op_type == "MatMul" and len(weights.get(node.input[1], ())) == 2
    )


def quantize(
    model: onnx.ModelProto, scheme: Scheme, plan: Plan | None = None, *, cache: Cache | None = None
) -> onnx.ModelProto:
    """The int8 form of ``model``, fused or as traced, which is left as it is.

    ``cache`` may be shared by calls with the same model and scheme whose plans share their factors' arrays.

    The preset's quantiser is not used: it gives the embedding table one scale for all rows, cannot even out
    activations, and takes seconds for each variant that `repair` tries.
    """
    settings = config(scheme)
    if settings.weights_dtype != QuantType.QInt8 or not (settings.weights_symmetric and settings.per_channel):
        raise RuntimeError("optimum's preset asks for weights that are not signed, symmetric and per channel.")
    plan = plan or Plan()
    limit = 63 if settings.reduce_range else LIMIT
    return quantise(model, keep_fp32=plan.fp32, factors=plan.factors, limit=limit, cache=cache)
