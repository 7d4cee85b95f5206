"""MaxSim's graphs: files made with the onnx package, and exact products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from latelite.maxsim.graphs import GROUP, Kind, parts, path, products, session

KINDS: list[Kind] = ["float32", "int7", "int14"]


def test_the_files_are_those_that_the_build_makes() -> None:
    """If they differ, run ``make maxsim-graphs``."""
    onnx = pytest.importorskip("onnx")
    from latelite_export.maxsim_graphs import all_graphs

    made = all_graphs()  # checked by onnx
    folder = path("int7").parent
    assert set(made) == {file.name for file in folder.glob("*.onnx")}
    for name, model in made.items():
        assert onnx.load(folder / name) == model, name
        assert [opset.domain for opset in model.opset_import] == [""]  # nothing that only some builds have


def run(
    kind: Kind, tokens: np.ndarray, query: list[np.ndarray], owners: list[int], shared: dict[int, list[int]]
) -> Any:
    """``owners`` of the groups, and for those that are ``shared`` the owners of their tokens; -1 is nobody."""
    documents = max([*owners, *(max(each) for each in shared.values())]) + 1
    fed = parts(kind, query) | {
        "tokens": tokens.reshape(-1, GROUP, tokens.shape[1]),
        "owners": np.array(owners, np.int64)[:, None],
        "shared": np.array(list(shared), np.int64),
        "token_owners": np.array(list(shared.values()), np.int64).reshape(-1, GROUP, 1),
        "start": np.full((documents + 1, query[0].shape[1]), -(2**31), np.float32 if kind == "float32" else np.int32),
    }
    (found,) = session(kind).run(None, fed)
    return found[:-1]


def test_maxima_of_groups_and_of_tokens_in_shared_ones() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((3 * GROUP, 16)).astype(np.float32)
    query = rng.standard_normal((16, 5)).astype(np.float32)
    products = tokens @ query
    groups = products.reshape(3, GROUP, 5).max(axis=1)
    found = run("float32", tokens, [query], [1, -1, 1], {1: [0, 1, -1, -1, -1, -1, -1, 0]})
    np.testing.assert_allclose(found[0], products[[8, 15]].max(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found[1], np.stack([groups[0], groups[2], products[9]]).max(axis=0), rtol=1e-5)
    np.testing.assert_allclose(run("float32", tokens, [query], [0, 1, 2], {}), groups, rtol=1e-5)


@pytest.mark.parametrize("dim", [2, 16, 127, 128, 1024])
def test_the_largest_integers_neither_saturate_nor_overflow(dim: int) -> None:
    """On AVX2, pairs of products are added in 16 bits; parts of 7 bits keep them within."""
    tokens = np.full((GROUP, dim), 255, np.uint8)
    tokens[1] = 0
    high = np.stack([np.full(dim, 63), np.full(dim, -63), np.arange(dim) % 2 * 63], 1).astype(np.int8)
    low = np.stack([np.full(dim, 63), np.full(dim, -64), np.full(dim, 63)], 1).astype(np.int8)
    exact = tokens.astype(np.int64) @ high.astype(np.int64)
    each, none = {0: list(range(GROUP))}, [-1]
    np.testing.assert_array_equal(run("int7", tokens, [high], none, each), exact)
    exact = 128 * exact + tokens.astype(np.int64) @ low.astype(np.int64)
    np.testing.assert_array_equal(run("int14", tokens, [high, low], none, each), exact)
    (product,) = products().run(None, {"rows": tokens, "columns": high})
    np.testing.assert_array_equal(product, (tokens.astype(np.int64) - 128) @ high.astype(np.int64))


def test_one_thread_does_the_work() -> None:
    for kind in KINDS:
        options = session(kind).get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert session("int7") is session("int7")
