"""Storage of fp32 weights in 16 bits where that is exact: half the file, the same numbers."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_SMALL = 1024
"""Elements below which a tensor is left alone: the Cast node would take as much space as it saves."""


def narrow(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with fp32 weights stored in 16 bits wherever that is exact.

    A tensor whose elements are all exact in float16 (or bfloat16) is stored that way, with a Cast that ONNX Runtime
    folds when it loads the graph: it computes with the same bits as before. A 16-bit checkpoint has such tensors.
    Tensors that the export computed, such as the sum of two embeddings, stay in fp32.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims, dtype=int) < _SMALL:
            continue
        name = tensor.name
        narrowed = _narrow_tensor(f"{name}_16", numpy_helper.to_array(tensor))
        if narrowed is not None:
            tensor.CopyFrom(narrowed)
            casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return result


def _narrow_tensor(name: str, values: NDArray[np.float32]) -> TensorProto | None:
    bits = values.view(np.uint32)
    with np.errstate(over="ignore", under="ignore"):
        half = values.astype(np.float16)
    if np.array_equal(half.astype(np.float32).view(np.uint32), bits):
        return numpy_helper.from_array(half, name)
    if not (bits & 0xFFFF).any():
        raw = (bits >> 16).astype("<u2").tobytes()
        return helper.make_tensor(name, TensorProto.BFLOAT16, values.shape, raw, raw=True)
    return None
