"""Weights in the checkpoint's own 16 bits: half the file, the same numbers."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_SMALL = 1024
"""Elements below which a tensor stays as it is: a Cast would take as much room as it spares."""


def narrow(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with fp32 weights stored in 16 bits wherever that loses nothing.

    A tensor of which every element is a float16 (or a bfloat16) is stored as such and cast to fp32 by a node that ONNX
    Runtime folds when it loads the graph, so it computes with the same bits as before. A checkpoint in 16 bits has such
    tensors; what the export computed from several of them, like the sum of two embeddings, stays in fp32, and so does a
    checkpoint in 32 bits.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims, dtype=int) < _SMALL:
            continue
        name = tensor.name
        narrowed = _narrowed(f"{name}_16", numpy_helper.to_array(tensor))
        if narrowed is not None:
            tensor.CopyFrom(narrowed)
            casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return result


def _narrowed(name: str, values: NDArray[np.float32]) -> TensorProto | None:
    bits = values.view(np.uint32)
    with np.errstate(over="ignore", under="ignore"):
        half = values.astype(np.float16)
    if np.array_equal(half.astype(np.float32).view(np.uint32), bits):
        return numpy_helper.from_array(half, name)
    if not (bits & 0xFFFF).any():
        raw = (bits >> 16).astype("<u2").tobytes()
        return helper.make_tensor(name, TensorProto.BFLOAT16, values.shape, raw, raw=True)
    return None
