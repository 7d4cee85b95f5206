"""int8 graphs: stored tensors, distance from fp32, and repair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from latelite_export.quantize import Plan, products, quantize
from latelite_export.reference import Sample
from latelite_export.repair import Goal, repair

INPUTS = ("input_ids", "attention_mask")
GOAL = Goal(mean=0.999, percentile=0.995, overlap=0.9)
MINIMUM = Goal(mean=0.99, percentile=0.97, overlap=0.8)
ROWS, HIDDEN, DIM = 50, 32, 16


def network(*, loud: float = 1.0, hopeless: bool = False) -> onnx.ModelProto:
    """Embedding -> gain -> product `a` -> Tanh -> product `b` -> normalise, as the exporter's graphs look.

    Args:
        loud: one channel of what `a` reads is that many times as loud as the others.
        hopeless: instead, all channels of id 0 are that loud, which no factor per channel smooths.
    """
    generator = np.random.default_rng(0)
    first = generator.normal(size=(HIDDEN, HIDDEN)).astype(np.float32) / 4
    gains = np.ones((ROWS, HIDDEN), np.float32)
    if hopeless:
        gains[0] = loud
    else:
        gains[:, 3] = loud
        first[3] /= loud
    tensors: dict[str, NDArray[Any]] = {
        "table": generator.normal(size=(ROWS, HIDDEN)).astype(np.float32),
        "gains": gains,
        "first": first,
        "second": generator.normal(size=(HIDDEN, DIM)).astype(np.float32),
    }
    ids, mask = (helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in INPUTS)
    out = helper.make_tensor_value_info("token_vectors", TensorProto.FLOAT, ["texts", "tokens", DIM])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"], "/embed/Gather"),
        helper.make_node("Identity", ["input_ids"], ["same_ids"], "/same"),
        helper.make_node("Gather", ["gains", "same_ids"], ["gain"], "/gain/Gather"),
        helper.make_node("Mul", ["rows", "gain"], ["x"], "/gain/Mul"),
        helper.make_node("MatMul", ["x", "first"], ["a"], "/a/MatMul"),
        helper.make_node("Tanh", ["a"], ["t"], "/t"),
        helper.make_node("MatMul", ["t", "second"], ["b"], "/b/MatMul"),
        helper.make_node("LpNormalization", ["b"], ["token_vectors"], "/n", axis=-1, p=2),
    ]
    graph = helper.make_graph(
        nodes, "g", [ids, mask], [out], [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def samples() -> list[Sample]:
    generator = np.random.default_rng(1)
    texts = [np.append(0, generator.integers(1, ROWS, n)) for n in generator.integers(5, 40, 30)]
    return [
        Sample(ids, np.ones_like(ids), np.ones(len(ids), np.bool_), is_query=i % 3 == 0) for i, ids in enumerate(texts)
    ]


def stored_in(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_products_are_those_with_constant_weights() -> None:
    assert [(product.name, product.size) for product in products(network())] == [("a", 1024), ("b", 512)]


def test_weights_and_embedding_are_int8_with_a_scale_per_channel_and_row() -> None:
    stored = stored_in(quantize(network(), "int8"))
    assert stored["first_q"].dtype == stored["table_q"].dtype == np.int8
    assert stored["first_scale"].shape == (HIDDEN,)
    assert stored["table_scale"].shape == (ROWS, 1)
    assert {"table", "first", "second"}.isdisjoint(stored)
    weights = stored_in(network())["first"]
    assert np.abs(stored["first_q"] * stored["first_scale"] - weights).max() <= stored["first_scale"].max() / 2 + 1e-7


def test_avx2_weights_have_seven_bits() -> None:
    assert np.abs(stored_in(quantize(network(), "int8"))["first_q"]).max() == 127
    assert np.abs(stored_in(quantize(network(), "int8-avx2"))["first_q"]).max() == 63


def test_the_fp32_model_is_left_alone() -> None:
    model = network()
    before = model.SerializeToString()
    quantize(model, "int8", Plan(fp32=frozenset({"a"})))
    assert model.SerializeToString() == before


def test_products_of_the_plan_stay_in_fp32() -> None:
    stored = stored_in(quantize(network(), "int8", Plan(fp32=frozenset({"a"}))))
    assert "first" in stored
    assert "second" not in stored


def test_a_healthy_graph_is_not_repaired() -> None:
    found = repair(network(), "int8", samples(), GOAL, MINIMUM)
    assert found.plan == Plan()
    assert found.details["plain"]["cosine_mean"] >= GOAL.mean


def test_a_loud_channel_is_smoothed_and_named() -> None:
    found = repair(network(loud=300), "int8", samples(), GOAL, MINIMUM)
    assert found.details["plain"]["cosine_mean"] < MINIMUM.mean
    assert found.details["repaired"]["cosine_mean"] >= GOAL.mean
    assert list(found.details["smoothed"]) == ["a"]
    assert found.details["fp32"] == []
    assert next(iter(found.details["errors"])) == "a"


def test_what_smoothing_cannot_help_stays_in_fp32_and_nothing_else_does() -> None:
    found = repair(network(loud=300, hopeless=True), "int8", samples(), GOAL, MINIMUM)
    assert found.details["plain"]["cosine_mean"] < MINIMUM.mean
    assert found.details["fp32"] == ["a"]
    assert found.details["repaired"]["cosine_mean"] >= MINIMUM.mean


def test_a_repair_is_the_same_every_time() -> None:
    first, second = (repair(network(loud=300), "int8", samples(), GOAL, MINIMUM) for _ in range(2))
    assert first.details == second.details
    graphs = [
        quantize(network(loud=300), "int8", found.plan).SerializeToString(deterministic=True)
        for found in (first, second)
    ]
    assert graphs[0] == graphs[1]


@pytest.mark.parametrize("name", ["modernbert", "xlm-roberta"])
def test_every_kind_of_encoder_has_an_int8_graph_that_passes_its_gate(name: str, bundle: Callable[[str], Path]) -> None:
    from latelite.manifest import Manifest

    report = Manifest.read(bundle(name)).verification["int8"]
    assert report["cosine_mean"] >= 0.995
    assert report["cosine_p1"] >= 0.98
