"""Writing: what every kind of index promises about adding, updating, removing and compacting."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from index_kinds import Make, fill
from index_samples import DIM, documents, ids_of, naive_ranking, topical
from latelite.errors import DuplicateIdError, IndexMismatchError, InvalidVectorsError, UnknownIdError


def test_ids_keep_their_type_and_any_text(make: Make) -> None:
    ids = [
        1,
        "1",
        -5,
        2**70,
        "",
        " ",
        "naïve",
        "日本",
        "🙂",
        "\ud800",
        "line\nbreak",
        '"quoted"',
        np.int64(77),
        np.str_("n"),
    ]
    with make() as index:
        index.add_documents(cast(Any, ids), documents(len(ids)))
        assert index.ids == ids
        assert [type(i) for i in index.ids] == [str if isinstance(i, str) else int for i in ids]
        assert all(i in index for i in ids)
        assert 2 not in index
        assert True not in index
        assert None not in index
    with make() as again:
        assert again.ids == ids
        again.remove_documents(["1"])
        assert 1 in again
        assert "1" not in again


@pytest.mark.parametrize("wrong", [True, 1.5, None, b"x", (1,)])
def test_refuses_other_ids(make: Make, wrong: Any) -> None:
    with make() as index:
        with pytest.raises(TypeError, match="document id"):
            index.add_documents([wrong], documents(1))
        with pytest.raises(TypeError, match="one string"):
            index.add_documents("ab", documents(2))
        assert len(index) == 0


def test_duplicate_ids_add_nothing(make: Make) -> None:
    with make() as index:
        with pytest.raises(DuplicateIdError, match="'b' occurs twice"):
            index.add_documents(["a", "b", "b"], documents(3))
        index.add_documents(["a"], documents(1))
        with pytest.raises(DuplicateIdError, match="'a' is in the index already; update_documents"):
            index.add_documents(["z", "a"], documents(2))
        assert index.ids == ["a"]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, DIM), np.float32), "no token"),
        (np.zeros(DIM, np.float32), "shape"),
        (np.zeros((2, 2, DIM), np.float32), "shape"),
        (np.full((3, DIM), np.nan, np.float32), "finite"),
        (np.full((3, DIM), -np.inf, np.float32), "finite"),
        (np.full((3, DIM), 1e39), "finite"),
        (np.zeros((3, DIM), np.complex64), "dtype"),
        ([[1.0, 2.0], [3.0]], "ragged"),
    ],
)
def test_refuses_documents_that_are_not_vectors_and_names_them(make: Make, array: Any, message: str) -> None:
    with make() as index:
        fill(index, 20)
        with pytest.raises(InvalidVectorsError, match=f"'bad'.*{message}"):
            index.add_documents(["fine", "bad"], [documents(1)[0], array])
        with pytest.raises(IndexMismatchError, match="'wide' has vectors of dimension 17, the index has 16"):
            index.add_documents(["wide"], documents(1, dim=17))
        with pytest.raises(ValueError, match="2 ids for 1 documents"):
            index.add_documents(["x", "y"], documents(1))
        assert len(index) == 20
        index.verify()


def test_accepts_other_float_types_and_three_dimensional_arrays(make: Make) -> None:
    block = np.stack([document[:1] for document in documents(6)])
    with make() as index:
        index.add_documents(["h1", "h2"], list(block[:2].astype(np.float16)))
        index.add_documents(["d1", "d2"], list(block[2:4].astype(np.float64)))
        index.add_documents(["s1", "s2"], cast(Any, block[4:]))
        assert len(index) == 6
        assert ids_of(index(block[3], k=1)[0]) == ["d2"]


def test_nothing_to_do_is_nothing_done(make: Make, tmp_path: Path) -> None:
    with make() as index:
        assert index.add_documents([], []) is index
        assert index.update_documents([], []) is index
        assert index.remove_documents([]) is index
        assert list(tmp_path.iterdir()) == []


def test_update_replaces_vectors_and_order(make: Make) -> None:
    old, new = topical(40), topical(40, seed=1)
    with make() as index:
        index.add_documents(list(range(40)), old)
        index.update_documents([3, 100, 7], [new[3], new[0], new[7]])
        assert len(index) == 41
        assert index.ids == [n for n in range(40) if n not in (3, 7)] + [3, 100, 7]
        np.testing.assert_allclose(index.get_documents_embeddings([3])[0], new[3], atol=0.01)
        # Old tokens are gone from the scores, not only from the id list.
        stored = index.get_documents_embeddings(index.ids)
        for query in (old[3], old[7], new[3]):
            assert ids_of(index(query, k=5)[0]) == naive_ranking(query, index.ids, stored, 5)
        index.update_documents([3], [new[5]])
        for _ in range(5):
            index.update_documents([3], [new[5]])
        assert index.ids.count(3) == 1
        index.verify()


def test_remove(make: Make) -> None:
    with make() as index:
        corpus = fill(index, 200, step=50)
        gone = list(range(0, 200, 3))
        assert index.remove_documents(gone) is index
        left = [n for n in range(200) if n % 3]
        assert index.ids == left
        assert all(n not in index for n in gone)
        stored = index.get_documents_embeddings(left)
        for query in corpus[:6]:
            assert ids_of(index(query, k=9)[0]) == naive_ranking(query, left, stored, 9)
        assert sorted(ids_of(index(corpus[0], k=500)[0])) == left
        with pytest.raises(UnknownIdError, match=r"^The id 3 is not in the index; nothing was removed"):
            index.remove_documents([1, 3])
        assert 1 in index
        index.add_documents([3], [corpus[3]])
        assert index.ids == [*left, 3]
        index.remove_documents(index.ids)
        assert len(index) == 0
        assert index(corpus[0]) == [[]]
        index.add_documents([3], [corpus[3]])
        assert ids_of(index(corpus[3])[0]) == [3]
        index.verify()


def test_compact_changes_nothing_but_the_form(make: Make) -> None:
    with make() as index:
        corpus = fill(index, 200, step=25)
        index.remove_documents(list(range(50, 120)))
        index.update_documents([7], [corpus[60]])
        ids, stored = index.ids, index.get_documents_embeddings(index.ids)
        assert index.compact() is index
        assert index.ids == ids
        for before, now in zip(stored, index.get_documents_embeddings(ids), strict=True):
            np.testing.assert_allclose(now, before, atol=0.005)
        after = index.get_documents_embeddings(ids)
        for query in corpus[:5]:
            assert ids_of(index(query, k=9)[0]) == naive_ranking(query, ids, after, 9)
        index.verify()
    with make() as again:
        assert again.ids == ids
        again.verify()


def test_embeddings_by_id(make: Make) -> None:
    with make() as index:
        corpus = fill(index)
        nested = index.get_documents_embeddings([[3, 1], [2]])
        assert [[len(document) for document in row] for row in nested] == [
            [len(corpus[3]), len(corpus[1])],
            [len(corpus[2])],
        ]
        assert index.get_documents_embeddings([]) == []
        with pytest.raises(UnknownIdError, match="99999"):
            index.get_documents_embeddings([1, 99999])
