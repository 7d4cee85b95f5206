"""Queries with nearly equal tokens added up."""

import numpy as np
import pytest

from latelite.indexes.queries import merge_tokens
from latelite.maxsim import maxsim_documents


def test_nearly_equal_tokens_are_added_up_and_others_stay() -> None:
    first, second = np.eye(2, dtype=np.float32)
    near = np.array([0.95, 0.3], np.float32)
    query = np.stack([first, second, near, first, -first, 3 * second])
    expected = [2 * first + near, second, -first, 3 * second]
    assert merge_tokens(query) == pytest.approx(np.stack(expected))


def test_a_chain_of_likes_becomes_one_token() -> None:
    angles = np.array([0.0, 0.4, 0.8], np.float32)  # the first and the last are not alike
    query = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert merge_tokens(query) == pytest.approx(query.sum(axis=0, keepdims=True))


def test_equal_tokens_change_no_score() -> None:
    draw = np.random.default_rng(0)
    query = draw.normal(size=(5, 16)).astype(np.float32)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    documents = [draw.normal(size=(n, 16)).astype(np.float32) for n in (3, 7, 1)]
    repeated = query[[0, 1, 2, 0, 3, 4, 0]]
    fewer = merge_tokens(repeated)
    assert len(fewer) == 5
    assert maxsim_documents(fewer, documents) == pytest.approx(maxsim_documents(repeated, documents), rel=1e-5)


def test_a_merged_query_scores_at_most_what_the_query_does_and_nearly_as_much() -> None:
    draw = np.random.default_rng(1)
    base = draw.normal(size=(4, 16))
    query = (base[draw.integers(0, 4, 12)] + 0.15 * draw.normal(size=(12, 16))).astype(np.float32)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    documents = [(base[draw.integers(0, 4, 9)] + draw.normal(size=(9, 16))).astype(np.float32) for _ in range(20)]
    whole, fewer = (maxsim_documents(each, documents) for each in (query, merge_tokens(query)))
    assert len(merge_tokens(query)) < 12
    assert (fewer <= whole + 1e-4).all()
    assert fewer == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("tokens", [0, 1])
def test_a_query_that_has_nothing_to_merge_stays(tokens: int) -> None:
    query = np.zeros((tokens, 8), np.float32)
    assert merge_tokens(query) is query
