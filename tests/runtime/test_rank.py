"""Reranking masks properly, and reproduces PyLate's scores when asked to."""

from __future__ import annotations

import numpy as np
import pytest

from latelite.rank import rerank

# Every product with the query is negative for the short document, and the long one is longer.
QUERY = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
SHORT = np.array([[-0.6, -0.8]], dtype=np.float32)
LONG = np.array([[0.6, -0.8], [0.8, -0.6], [1.0, 0.0]], dtype=np.float32)


def test_best_first_with_exact_scores() -> None:
    (ranked,) = rerank([["short", "long"]], [QUERY], [[SHORT, LONG]])
    assert [r["id"] for r in ranked] == ["long", "short"]
    assert [r["score"] for r in ranked] == pytest.approx([1.0 + 0.0, -0.6 - 0.8])


def test_a_score_does_not_depend_on_the_other_candidates() -> None:
    (alone,) = rerank([["short"]], [QUERY], [[SHORT]])
    (together,) = rerank([["short", "long"]], [QUERY], [[SHORT, LONG]])
    assert alone[0]["score"] == together[1]["score"]


def test_pylate_clamps_negative_maxima_of_padded_documents() -> None:
    (ranked,) = rerank([["short", "long"]], [QUERY], [[SHORT, LONG]], pylate_compat=True)
    assert {r["id"]: r["score"] for r in ranked} == pytest.approx({"long": 1.0, "short": 0.0})


def test_ties_keep_the_given_order() -> None:
    (ranked,) = rerank([[3, 1, 2]], [QUERY], [[LONG, LONG, LONG]])
    assert [r["id"] for r in ranked] == [3, 1, 2]


def test_one_2d_array_is_one_query() -> None:
    assert rerank([[1]], QUERY, [[SHORT]]) == rerank([[1]], [QUERY], [[SHORT]])


def test_no_candidates() -> None:
    assert rerank([[]], [QUERY], [[]]) == [[]]
    assert rerank([], [], []) == []


@pytest.mark.parametrize(("ids", "documents"), [([[1], [2]], [[SHORT]]), ([[1, 2]], [[SHORT]]), ([], [])])
def test_lengths_that_disagree_are_refused(ids: list[list[int]], documents: list[list[np.ndarray]]) -> None:
    with pytest.raises(ValueError, match=r"candidate|queries"):
        rerank(ids, [QUERY], documents)
