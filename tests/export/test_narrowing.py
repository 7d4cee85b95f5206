"""Weights stored in 16 bits: only where that is exact, so that results do not change by a bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from latelite_export.graph.narrowing import narrow


def _graph(weights: NDArray[np.float32]) -> onnx.ModelProto:
    rows, columns = weights.shape
    return helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "product",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, rows])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, columns])],
            [numpy_helper.from_array(weights, "w")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def _run(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x})
    return np.asarray(y)


def _bfloat16(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return (values.view(np.uint32) & 0xFFFF0000).view(np.float32)


RANDOM = np.random.default_rng(0).normal(size=(64, 48)).astype(np.float32)
HALVES = RANDOM.astype(np.float16).astype(np.float32)
BRAIN = _bfloat16(RANDOM * 1e30)
EDGES = HALVES.copy()
EDGES[0, :4] = 65504, -0.0, 5.960464477539063e-08, 6.103515625e-05  # largest, minus zero, subnormal, smallest normal


@pytest.mark.parametrize(
    ("weights", "stored"),
    [(HALVES, TensorProto.FLOAT16), (EDGES, TensorProto.FLOAT16), (BRAIN, TensorProto.BFLOAT16)],
    ids=["float16", "float16 at its edges", "bfloat16"],
)
def test_what_fits_is_stored_in_16_bits_and_computes_the_same_bits(weights: NDArray[np.float32], stored: int) -> None:
    model = _graph(weights)
    narrowed = narrow(model)
    onnx.checker.check_model(narrowed)
    (tensor,) = narrowed.graph.initializer
    assert tensor.data_type == stored
    assert narrowed.ByteSize() < 0.6 * model.ByteSize()
    x = np.linspace(-1, 1, 64, dtype=np.float32)[None]
    assert _run(narrowed, x).tobytes() == _run(model, x).tobytes()
    assert model.graph.initializer[0].data_type == TensorProto.FLOAT  # the argument is left alone


def test_one_element_that_needs_more_keeps_its_tensor_in_32_bits() -> None:
    weights = HALVES.copy()
    weights[3, 5] = np.float32(1 / 3)
    assert narrow(_graph(weights)) == _graph(weights)
    weights[3, 5] = 65536  # beyond float16
    assert narrow(_graph(weights)) == _graph(weights)


def test_small_tensors_are_left_alone() -> None:
    small = np.ones((4, 4), dtype=np.float32)
    assert narrow(_graph(small)) == _graph(small)


@pytest.mark.parametrize(("case", "sixteen"), [("bert-fp16", True), ("bert-pylate", False)])
def test_a_bundle_is_as_wide_as_its_checkpoint(fp32_bundle: Callable[[str], Path], case: str, sixteen: bool) -> None:
    model = onnx.load(fp32_bundle(case) / "model.onnx")
    large = [tensor for tensor in model.graph.initializer if np.prod(tensor.dims, dtype=int) >= 1024]
    narrowed = {tensor.name for tensor in large if tensor.data_type == TensorProto.FLOAT16}
    wide = {tensor.name for tensor in large if tensor.data_type == TensorProto.FLOAT}
    if sixteen:
        assert any("word_embeddings" in name for name in narrowed)
        assert len(narrowed) > 10
        assert len(wide) == 1, wide  # positions, with the token type's row added
    else:
        assert not narrowed
