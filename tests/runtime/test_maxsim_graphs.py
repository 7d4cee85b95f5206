"""The graphs behind MaxSim: bytes that the onnx package accepts, and products that are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from latelite.maxsim_graphs import GROUP, Kind, feeds, graph, product_graph, products, session

KINDS: list[Kind] = ["float32", "int7", "int14"]


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_finds_no_fault_with_the_bytes(kind: Kind) -> None:
    model = onnx.load_from_string(graph(kind))
    onnx.checker.check_model(model, full_check=True)
    assert [opset.domain for opset in model.opset_import] == [""]  # nothing that only some builds have


def test_onnx_finds_no_fault_with_the_product() -> None:
    onnx.checker.check_model(onnx.load_from_string(product_graph()), full_check=True)


def run(kind: Kind, tokens: np.ndarray, query: list[np.ndarray], edges: list[int]) -> Any:
    groups = np.array([-1, GROUP, query[0].shape[1]])
    (found,) = session(kind).run(None, feeds(kind, tokens, query, np.array(edges, np.int64), groups))
    return found


@pytest.mark.parametrize("edges", [[], [0, 15, 3]])
def test_maxima_of_groups_and_products_of_edges(edges: list[int]) -> None:
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((2 * GROUP, 16)).astype(np.float32)
    query = rng.standard_normal((16, 5)).astype(np.float32)
    expected = tokens @ query
    found = run("float32", tokens, [query], edges)
    np.testing.assert_allclose(found[:2], expected.reshape(2, GROUP, 5).max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found[2:], expected[edges], rtol=1e-5)


@pytest.mark.parametrize("dim", [2, 16, 127, 128, 1024])
def test_the_largest_integers_neither_saturate_nor_overflow(dim: int) -> None:
    """On AVX2, pairs of products are added in 16 bits; parts of 7 bits keep them within."""
    tokens = np.full((GROUP, dim), 255, np.uint8)
    tokens[1] = 0
    high = np.stack([np.full(dim, 63), np.full(dim, -63), np.arange(dim) % 2 * 63], 1).astype(np.int8)
    low = np.stack([np.full(dim, 63), np.full(dim, -64), np.full(dim, 63)], 1).astype(np.int8)
    exact = tokens.astype(np.int64) @ high.astype(np.int64)
    np.testing.assert_array_equal(run("int7", tokens, [high], list(range(GROUP)))[1:], exact)
    exact = 128 * exact + tokens.astype(np.int64) @ low.astype(np.int64)
    np.testing.assert_array_equal(run("int14", tokens, [high, low], list(range(GROUP)))[1:], exact)
    (product,) = products().run(None, {"rows": tokens, "columns": high})
    np.testing.assert_array_equal(product, (tokens.astype(np.int64) - 128) @ high.astype(np.int64))


def test_one_thread_does_the_work() -> None:
    for kind in KINDS:
        options = session(kind).get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert session("int7") is session("int7")
