"""Searching: what every kind of index promises, with the naive definition as the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from index_kinds import Make, fill
from index_samples import DIM, documents, ids_of, naive_ranking, topical
from latelite import indexes
from latelite.errors import IndexMismatchError, InvalidVectorsError
from latelite.indexes import ranking
from latelite.indexes.exact import StoreType
from latelite.maxsim import maxsim
from latelite.maxsim.plain import plain_maxsim


def test_ranks_as_the_definition_over_its_own_vectors(make: Make) -> None:
    with make() as index:
        fill(index, 400, step=100)
        stored = index.get_documents_embeddings(index.ids)
        queries = topical(12, seed=3, longest=24)
        for query, hits in zip(queries, index(queries, k=10), strict=True):
            assert ids_of(hits) == naive_ranking(query, range(400), stored, 10)
            for hit in hits:
                assert isinstance(hit["score"], float)
                assert hit["score"] == pytest.approx(plain_maxsim(query, stored[int(hit["id"])]), abs=1e-5)


def test_stored_vectors_are_close_to_the_given(make: Make) -> None:
    with make() as index:
        corpus = fill(index)
        for given, stored in zip(corpus, index.get_documents_embeddings(range(60)), strict=True):
            assert stored.dtype == np.float32
            np.testing.assert_allclose(stored, given, atol=0.005)


def test_one_query_lists_and_arrays(make: Make) -> None:
    with make() as index:
        corpus = fill(index)
        query = corpus[5][:3]
        single = index(query, k=4)
        assert len(single) == 1
        assert index([query], k=4) == single
        assert index(np.stack([query, query]), k=4) == single * 2
        assert index([], k=4) == []
        assert index([query.astype(np.float64), query.astype(np.float32)], k=4) == single * 2


def test_a_query_gets_the_same_answer_in_any_batch(make: Make) -> None:
    with make() as index:
        fill(index, 200, step=100)
        queries = topical(40, seed=4)
        together = index(queries, k=7)
        assert together == [index(query, k=7)[0] for query in queries]


def test_k(make: Make) -> None:
    with make() as index:
        corpus = fill(index)
        assert len(index(corpus[0], k=1)[0]) == 1
        assert sorted(ids_of(index(corpus[0], k=1000)[0])) == list(range(60))
        assert len(index(corpus[0], k=cast(int, np.int64(3)))[0]) == 3
        for wrong in (0, -1):
            with pytest.raises(ValueError, match="k must be at least 1"):
                index(corpus[0], k=wrong)
        with pytest.raises(TypeError):
            index(corpus[0], k=2.5)  # type: ignore[arg-type]


def test_ties_come_in_the_order_of_insertion(make: Make) -> None:
    twin = topical(1, seed=8)[0]
    with make() as index:
        others = topical(30)
        index.add_documents(["c", "x1", "a"], [twin, others[0], twin])
        index.add_documents([str(number) for number in range(29)], others[1:])
        index.add_documents(["b", "A"], [twin, twin])
        for k in (1, 2, 3, 4):
            assert ids_of(index(twin, k=k)[0]) == ["c", "a", "b", "A"][:k]
        index.compact()
        assert ids_of(index(twin, k=4)[0]) == ["c", "a", "b", "A"]


@pytest.mark.parametrize("store", ["int8", "float32"])
def test_many_equal_documents_are_scored_once(
    tmp_path: Path, store: StoreType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log lines, templates, "N/A": near-ties are not settled one product at a time."""
    twin, *others = topical(40, seed=8)
    calls: list[int] = []

    def counted(query: Any, tokens: Any, offsets: Any, *, documents: Any = None, **options: Any) -> Any:
        calls.append(len(offsets) - 1 if documents is None else len(documents))
        return maxsim(query, tokens, offsets, documents=documents, **options)

    monkeypatch.setattr(ranking, "maxsim", counted)
    with indexes.Exact(tmp_path, store=store) as index:
        index.add_documents(range(39), others)
        index.add_documents(range(100, 1100), [twin] * 1000)
        assert ids_of(index(twin, k=10)[0]) == list(range(100, 110))
    assert len(calls) <= 8, calls


def test_an_empty_index_answers_with_empty_lists(make: Make) -> None:
    with make() as index:
        queries = documents(2)
        assert index(queries) == [[], []]
        assert len(index) == 0
        assert index.ids == []
        assert index.embedding_size is None
        index.verify()
        index.compact()
        index.add_documents([1], documents(1))
        index.remove_documents([1])
        assert index(queries) == [[], []]
        assert index(queries, subset=[1]) == [[], []]


def test_subset_restricts_before_scoring(make: Make) -> None:
    with make() as index:
        corpus = fill(index, 300, step=100)
        stored = index.get_documents_embeddings(index.ids)
        queries = topical(3, seed=5)
        rng = np.random.default_rng(0)
        for size in (1, 5, 40, 150, 280, 300):
            subset = sorted(rng.choice(300, size, replace=False).tolist())
            for query, hits in zip(queries, index(queries, k=8, subset=subset), strict=True):
                assert ids_of(hits) == naive_ranking(query, subset, [stored[i] for i in subset], 8)
        own: Any = [[1, 2, 3], (7,), {9, 10}]
        assert [set(ids_of(hits)) for hits in index(queries, k=8, subset=own)] == [{1, 2, 3}, {7}, {9, 10}]
        assert index(queries, subset=[]) == [[], [], []]
        assert index(queries, subset=[[], [], []]) == [[], [], []]
        assert ids_of(index(corpus[4], subset=cast(Any, [4, 4, "4", 100_000]))[0]) == [4]
        with pytest.raises(ValueError, match="2 subsets for 3 queries"):
            index(queries, subset=[[1], [2]])
        with pytest.raises(TypeError, match="subset"):
            index(queries, subset="abc")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (np.zeros((2, 2, 2, 2), np.float32), "shape"),
        ([np.zeros(DIM, np.float32)], "shape"),
        ([np.zeros((0, DIM), np.float32)], "no token"),
        ([np.full((2, DIM), np.nan, np.float32)], "finite"),
        ([np.full((2, DIM), 1e300)], "finite"),
        ([np.zeros((2, DIM + 1), np.float32)], "dimension"),
        ([np.array([["a"] * DIM])], "dtype"),
    ],
)
def test_refuses_queries_that_are_not_vectors(make: Make, query: Any, message: str) -> None:
    with make() as index:
        fill(index, 20)
        with pytest.raises((InvalidVectorsError, IndexMismatchError), match=message):
            index(query)
