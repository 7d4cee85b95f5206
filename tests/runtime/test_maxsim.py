"""MaxSim equals its definition: documents of any length, block boundaries, int8 codes, candidates, ties."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index_samples import documents
from latelite.errors import InvalidVectorsError
from latelite.maxsim import maxsim, maxsim_batch, maxsim_documents, maxsim_rows, rough_error
from latelite.maxsim.blocks import BLOCK_TOKENS
from latelite.maxsim.plain import plain_maxsim
from latelite.storage.quantisation import Grid


def test_the_oracle_is_the_definition() -> None:
    """Summed in loops, one component at a time, also where the best product is negative."""
    rng = np.random.default_rng(3)
    query, document = rng.standard_normal((3, 4)), -np.abs(rng.standard_normal((5, 4)))
    for vectors in (document, document[:1], -document):
        expected = sum(
            max(sum(float(a) * float(b) for a, b in zip(q, d, strict=True)) for d in vectors) for q in np.abs(query)
        )
        assert plain_maxsim(np.abs(query), vectors) == pytest.approx(expected, abs=1e-12)
    assert plain_maxsim(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.5, -2.0], [0.25, -1.0]])) == -0.5
    with pytest.raises(ValueError, match="zero-size"):
        plain_maxsim(query, document[:0])


def flat(corpus: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate(corpus), np.cumsum([0, *(len(document) for document in corpus)])


@pytest.mark.parametrize("queries", [1, 2, 7, 8, 24, 32, 33, 300])
@pytest.mark.parametrize("dim", [1, 3, 48, 128])
def test_equals_the_definition_for_any_query_count_and_dimension(queries: int, dim: int) -> None:
    corpus = documents(150, dim=dim, longest=60)
    query = np.concatenate(documents(queries, seed=1, dim=dim))[:queries]
    scores = maxsim(query, *flat(corpus))
    assert scores.dtype == np.float32
    # Scores add up to `queries` terms of at most 1: the bound is relative to that.
    expected = [plain_maxsim(query, document) for document in corpus]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5 * max(queries / 32, 1))


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(
        st.sampled_from([1, 2, 5, 1000, BLOCK_TOKENS - 1, BLOCK_TOKENS, BLOCK_TOKENS + 1, 9000]), max_size=6
    ),
    seed=st.integers(0, 9),
)
def test_documents_may_begin_end_and_stretch_across_blocks(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((sum(lengths), 4)).astype(np.float32)
    offsets = np.cumsum([0, *lengths])
    query = rng.standard_normal((3, 4)).astype(np.float32)
    pieces = [tokens[a:b] for a, b in pairwise(offsets)]
    scores = maxsim(query, tokens, offsets)
    np.testing.assert_allclose(scores, [plain_maxsim(query, piece) for piece in pieces], atol=1e-5)
    np.testing.assert_array_equal(maxsim_documents(query, pieces), scores)


def test_codes_score_like_the_vectors_they_stand_for() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(-127, 128, (5000, 32)).astype(np.int8)
    quantisation = np.stack([rng.standard_normal(32), rng.uniform(0.001, 0.01, 32)]).astype(np.float32)
    vectors = quantisation[0] + quantisation[1] * codes
    offsets = np.array([0, 1, 700, 5000])
    query = rng.standard_normal((24, 32)).astype(np.float32)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    scores = maxsim(query, codes, offsets, quantisation=quantisation)
    expected = [plain_maxsim(query, vectors[a:b]) for a, b in pairwise(offsets)]
    np.testing.assert_allclose(scores, expected, rtol=5e-5)
    rough = maxsim(query, codes, offsets, quantisation=quantisation, rough=True)
    np.testing.assert_allclose(rough, expected, rtol=1e-2)
    assert np.abs(rough - expected).max() > np.abs(scores - expected).max()


def test_codes_at_both_ends_score_right() -> None:
    """The largest codes and query components, in the worst order for sums of pairs."""
    codes = np.array([[127, 127] * 16, [-127, -127] * 16, [127, -127] * 16], np.int8)
    quantisation = np.stack([np.zeros(32), np.full(32, 0.01)]).astype(np.float32)
    query = np.array([[1.0, 1.0] * 16, [1.0, -1.0] * 16, [-1.0, -1.0] * 16], np.float32)
    scores = maxsim(query, codes, np.array([0, 1, 2, 3]), quantisation=quantisation)
    expected = [plain_maxsim(query, 0.01 * code[None]) for code in codes]
    np.testing.assert_allclose(scores, expected, atol=1e-3)


def test_rough_is_for_codes_and_leaves_float32_alone() -> None:
    tokens, offsets = flat(documents(50))
    np.testing.assert_array_equal(maxsim(tokens[:9], tokens, offsets, rough=True), maxsim(tokens[:9], tokens, offsets))


@pytest.mark.parametrize("query_tokens", [1, 4, 32])
@pytest.mark.parametrize("alike", [1, 60])
def test_rough_scores_are_off_by_less_than_the_margin(query_tokens: int, alike: int) -> None:
    """Also if half the documents have many nearly equal tokens, of which a rough score picks the largest."""
    rng = np.random.default_rng(query_tokens)
    rows = rng.standard_normal((400, 1, 64)) + 0.01 * rng.standard_normal((400, alike, 64))
    others = rng.standard_normal((400, alike, 64))
    tokens = np.concatenate([rows, others]).reshape(-1, 64).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    grid = Grid.fit(tokens.min(axis=0), tokens.max(axis=0))
    codes, quantisation, offsets = grid.encode(tokens), grid.to_array(), np.arange(801) * alike
    query = tokens[rng.choice(len(tokens), query_tokens)]
    errors = maxsim(query, codes, offsets, quantisation=quantisation, rough=True) - maxsim(
        query, codes, offsets, quantisation=quantisation
    )
    longest = float(np.linalg.norm(codes.astype(np.float64), axis=1).max())
    bound = rough_error(query, quantisation, longest)
    assert np.abs(errors).max() <= bound
    assert bound < 60 * np.abs(errors).max()  # or it would say nothing


def test_the_bound_on_a_rough_score_holds_for_documents_made_to_break_it() -> None:
    """Tokens parallel and antiparallel to the query's rounding error."""
    rng = np.random.default_rng(0)
    dim = 64
    query = rng.normal(size=(8, dim)).astype(np.float32)
    quantisation = np.stack([np.zeros(dim), np.full(dim, 1 / 127)]).astype(np.float32)
    scaled = query.astype(np.float64) / 127
    steps = np.abs(scaled).max(axis=1) / 63
    lost = np.sign(scaled - np.rint(scaled / steps[:, None]) * steps[:, None])
    codes = np.concatenate([127 * lost, -127 * lost]).astype(np.int8)
    offsets = np.arange(len(codes) + 1)
    errors = maxsim(query, codes, offsets, quantisation=quantisation, rough=True) - maxsim(
        query, codes, offsets, quantisation=quantisation
    )
    assert np.abs(errors).max() <= rough_error(query, quantisation, float(np.sqrt(dim) * 127))


def test_large_dimensions_do_not_overflow() -> None:
    dim = 4096
    query = np.ones((1, dim), np.float32)
    codes = np.full((3, dim), 127, np.int8)
    quantisation = np.stack([np.zeros(dim), np.ones(dim)]).astype(np.float32)
    scores = maxsim(query, codes, np.arange(4), quantisation=quantisation)
    np.testing.assert_allclose(scores, 127 * dim, rtol=1e-3)


@pytest.mark.parametrize("where", ["query", "document"])
def test_values_that_are_not_finite_are_refused(where: str) -> None:
    query, document = np.ones((2, 4), np.float32), np.ones((3, 4), np.float32)
    (query if where == "query" else document)[1, 1] = np.nan
    with pytest.raises(InvalidVectorsError, match="not finite"):
        maxsim_documents(query, [document])


def test_candidates_are_scored_in_the_order_asked_for() -> None:
    corpus = documents(400, dim=128, longest=80)
    tokens, offsets = flat(corpus)
    query = corpus[3][:5]
    scores = maxsim(query, tokens, offsets)
    for chosen in ([], [399], [0, 1, 2, 7, 8, 300], [5, 4, 4, 399, 0], list(range(400))):
        numbers = np.array(chosen, np.int64)
        np.testing.assert_allclose(maxsim(query, tokens, offsets, documents=numbers), scores[numbers], atol=2e-6)


@pytest.mark.parametrize("queries", [1, 5, 32])
@pytest.mark.parametrize("dim", [16, 96, 128])
def test_a_document_scored_alone_gets_the_same_bits_wherever_it_lies(queries: int, dim: int) -> None:
    corpus = documents(600, dim=dim, longest=50)
    twin = documents(1, seed=5, dim=dim)[0]
    places = [0, 17, 18, 255, 400, 598, 599]
    for place in places:
        corpus[place] = twin
    query = np.concatenate(documents(queries, seed=1, dim=dim))[:queries]
    tokens, offsets = flat(corpus)
    alone = {float(maxsim(query, tokens, offsets, documents=np.array([place]))[0]) for place in places}
    assert len(alone) == 1
    assert {float(maxsim_documents(query, [twin])[0])} == alone


@pytest.mark.parametrize("longest", [3, 40, 400])
def test_codes_of_scattered_documents_get_the_bits_of_a_scan(longest: int) -> None:
    rng = np.random.default_rng(longest)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, longest + 1, 2600))])
    codes = rng.integers(-128, 128, (int(offsets[-1]), 8)).astype(np.int8)
    quantisation = rng.normal(size=(2, 8)).astype(np.float32)
    query = rng.normal(size=(5, 8)).astype(np.float32)
    scan = maxsim(query, codes, offsets, quantisation=quantisation)
    for numbers in (np.arange(0, 2600, 2), np.array([7]), rng.permutation(2600)[:90], np.arange(100, 180)):
        scores = maxsim(query, codes, offsets, documents=numbers, quantisation=quantisation)
        np.testing.assert_array_equal(scores, scan[numbers])


def test_a_batch_gives_each_query_the_bits_it_gets_alone() -> None:
    tokens, offsets = flat(documents(300, longest=60))
    queries = documents(9, seed=2, longest=40)
    together = maxsim_batch(queries, tokens, offsets)
    assert together.shape == (9, 300)
    for query, row in zip(queries, together, strict=True):
        np.testing.assert_array_equal(maxsim(query, tokens, offsets), row)


def test_negative_maxima_count_and_nothing_is_padded_with_zero() -> None:
    query = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    tokens = np.array([[-0.5, -0.25], [-1.0, -1.0]], np.float32)
    np.testing.assert_allclose(maxsim(query, tokens, np.array([0, 1, 2])), [-0.75, -2.0])


def test_reads_a_mapped_file(tmp_path: Path) -> None:
    tokens, offsets = flat(documents(500))
    np.save(tmp_path / "tokens.npy", tokens)
    mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
    np.testing.assert_array_equal(maxsim(tokens[:4], mapped, offsets), maxsim(tokens[:4], tokens, offsets))


def test_no_documents_and_no_query_tokens() -> None:
    tokens, offsets = flat(documents(3))
    assert maxsim(tokens[:2], tokens, offsets[:1]).shape == (0,)
    assert maxsim_documents(tokens[:2], []).shape == (0,)
    assert maxsim(np.empty((0, tokens.shape[1]), np.float32), tokens, offsets).tolist() == [0.0, 0.0, 0.0]


def test_refuses_empty_documents_and_wrong_shapes() -> None:
    tokens, offsets = flat(documents(3))
    query = tokens[:2]
    with pytest.raises(InvalidVectorsError, match="Document 1 has no tokens"):
        maxsim(query, tokens, np.array([0, 2, 2, 3]))
    with pytest.raises(InvalidVectorsError, match="offsets end"):
        maxsim(query, tokens, offsets + 1)
    with pytest.raises(InvalidVectorsError, match="expected \\(query tokens, 16\\)"):
        maxsim(query[:, :-1], tokens, offsets)
    with pytest.raises(InvalidVectorsError, match="expected \\(query tokens, 16\\)"):
        maxsim(query[0], tokens, offsets)
    with pytest.raises(InvalidVectorsError, match="Document 1"):
        maxsim_documents(query, [tokens, tokens[:, :3]])
    with pytest.raises(InvalidVectorsError, match="no tokens"):
        maxsim_documents(query, [tokens, tokens[:0]])


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("lengths", [[1], [3, 1, 8, 17], [BLOCK_TOKENS + 5, 2, BLOCK_TOKENS]])
def test_single_rows_score_as_a_store_of_these_rows(quantised: bool, rough: bool, lengths: list[int]) -> None:
    rng = np.random.default_rng(0)
    tokens: np.ndarray = rng.integers(-127, 128, (700, 32)).astype(np.int8)
    grid = np.stack([rng.standard_normal(32), rng.uniform(0.001, 0.01, 32)]).astype(np.float32)
    if not quantised:
        tokens = grid[0] + grid[1] * tokens
    query = rng.standard_normal((24, 32)).astype(np.float32)
    rows = rng.integers(0, 700, sum(lengths))
    options: dict[str, Any] = {"quantisation": grid if quantised else None, "rough": rough}
    found = maxsim_rows(query, tokens, rows, np.array(lengths), **options)
    offsets = np.cumsum([0, *lengths])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, maxsim(query, tokens[rows], offsets, **options), rtol=1e-6, atol=1e-5)


def test_single_rows_of_nothing() -> None:
    tokens, query = np.ones((3, 4), np.float32), np.ones((2, 4), np.float32)
    none = np.empty(0, np.int64)
    assert maxsim_rows(query, tokens, none, none).shape == (0,)
    assert maxsim_rows(query[:0], tokens, np.array([1]), np.array([1])).tolist() == [0.0]
    with pytest.raises(InvalidVectorsError, match="Document 1 has no tokens"):
        maxsim_rows(query, tokens, np.array([1, 2]), np.array([2, 0]))
