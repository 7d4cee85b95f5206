"""What every kind of index promises, with the naive definition as the oracle."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index_samples import DIM, documents, ids_of, naive_maxsim, naive_ranking, topical
from latelite import indexes
from latelite.errors import (
    DuplicateIdError,
    IndexMismatchError,
    IndexVersionError,
    InvalidVectorsError,
    StoreError,
    UnknownIdError,
)
from latelite.indexes.index import TokenIndex

# Thresholds are low, so that the approximate paths are taken with hundreds of documents, and candidates so many that
# nothing is missed. "scanned" is the approximate kind below its threshold.
KINDS: dict[str, Callable[..., TokenIndex]] = {
    "Exact": indexes.Exact,
    "Exact-float32": lambda *a, **o: indexes.Exact(*a, store="float32", **o),
    "HNSW": lambda *a, **o: indexes.HNSW(*a, graph_threshold=1, k_token=600, **o),
    "IVF": lambda *a, **o: indexes.IVF(*a, scan_threshold=1, n_centroids=32, n_probe=32, n_candidates=200, **o),
    "HNSW-scanned": lambda *a, **o: indexes.HNSW(*a, graph_threshold=10**9, **o),
}

Make = Callable[..., TokenIndex]


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durability is the business of tests/reliability; here it would be nine tenths of the time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Opens the index of this test; options as for the class."""
    return lambda **options: KINDS[request.param](tmp_path, "index", **options)


def fill(index: TokenIndex, count: int = 60, *, step: int = 20) -> list[np.ndarray]:
    corpus = topical(count)
    for start in range(0, count, step):
        index.add_documents(list(range(start, start + step)), corpus[start : start + step])
    return corpus


# ---------------------------------------------------------------------------------------------------------- searching


def test_ranks_as_the_definition_over_its_own_vectors(make: Make) -> None:
    with make() as index:
        fill(index, 400, step=100)
        stored = index.get_documents_embeddings(index.ids)
        queries = topical(12, seed=3, longest=24)
        for query, hits in zip(queries, index(queries, k=10), strict=True):
            assert ids_of(hits) == naive_ranking(query, range(400), stored, 10)
            for hit in hits:
                assert isinstance(hit["score"], float)
                assert hit["score"] == pytest.approx(naive_maxsim(query, stored[hit["id"]]), abs=1e-5)


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
        assert len(index(corpus[0], k=np.int64(3))[0]) == 3
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
        own = [[1, 2, 3], (7,), {9, 10}]
        assert [set(ids_of(hits)) for hits in index(queries, k=8, subset=own)] == [{1, 2, 3}, {7}, {9, 10}]
        assert index(queries, subset=[]) == [[], [], []]
        assert index(queries, subset=[[], [], []]) == [[], [], []]
        assert ids_of(index(corpus[4], subset=[4, 4, "4", 100_000])[0]) == [4]
        with pytest.raises(ValueError, match="2 subsets for 3 queries"):
            index(queries, subset=[[1], [2]])
        with pytest.raises(TypeError, match="subset"):
            index(queries, subset="abc")


def test_a_condition_on_payloads_is_a_subset(make: Make) -> None:
    with make() as index:
        corpus = topical(200)
        for start in (0, 100):
            part = range(start, start + 100)
            index.add_documents(list(part), [corpus[i] for i in part], [{"third": i % 3} for i in part])
        index.remove_documents([0, 150])
        query = topical(1, seed=5)[0]
        subset = [i for i in index.ids if i % 3 == 0]
        found = index.search(query, 7, where=lambda payload: payload is not None and payload["third"] == 0)
        (expected,) = index([query], k=7, subset=subset)
        assert [(i, s) for i, s, _ in found] == [(hit["id"], hit["score"]) for hit in expected]
        assert all(payload == {"third": 0} for _, _, payload in found)
        assert [i for i, _, _ in index.search(query, 7)] == ids_of(index([query], k=7)[0])
        assert index.search(query, where=lambda _: False) == []


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


# ------------------------------------------------------------------------------------------------------------ writing


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
        index.add_documents(ids, documents(len(ids)))
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
        index.add_documents(["s1", "s2"], block[4:])
        assert len(index) == 6
        assert ids_of(index(block[3], k=1)[0]) == ["d2"]


def test_nothing_to_do_is_nothing_done(make: Make, tmp_path: Path) -> None:
    with make() as index:
        assert index.add_documents([], []) is index
        assert index.update_documents([], []) is index
        assert index.remove_documents([]) is index
        assert list(tmp_path.iterdir()) == []


def test_update_replaces_vectors_payload_and_order(make: Make) -> None:
    old, new = topical(40), topical(40, seed=1)
    with make() as index:
        index.add_documents(list(range(40)), old, [{"v": 1, "n": n} for n in range(40)])
        index.update_documents([3, 100, 7], [new[3], new[0], new[7]], [{"v": 2}, None, {"v": 3}])
        assert len(index) == 41
        assert index.ids == [n for n in range(40) if n not in (3, 7)] + [3, 100, 7]
        assert index.payload(3) == {"v": 2}
        assert index.payload(100) is None
        assert index.payload(4) == {"v": 1, "n": 4}
        np.testing.assert_allclose(index.get_documents_embeddings([3])[0], new[3], atol=0.01)
        # Old tokens are gone from the scores, not only from the id list.
        stored = index.get_documents_embeddings(index.ids)
        for query in (old[3], old[7], new[3]):
            assert ids_of(index(query, k=5)[0]) == naive_ranking(query, index.ids, stored, 5)
        index.update_documents([3], [new[5]])
        assert index.payload(3) is None
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
        index.update_documents([7], [corpus[60]], [{"t": "sieben"}])
        ids, stored = index.ids, index.get_documents_embeddings(index.ids)
        assert index.compact() is index
        assert index.ids == ids
        assert index.payload(7) == {"t": "sieben"}
        assert index.payload(8) is None
        for before, after in zip(stored, index.get_documents_embeddings(ids), strict=True):
            np.testing.assert_allclose(after, before, atol=0.005)
        after = index.get_documents_embeddings(ids)
        for query in corpus[:5]:
            assert ids_of(index(query, k=9)[0]) == naive_ranking(query, ids, after, 9)
        index.verify()
    with make() as again:
        assert again.ids == ids
        again.verify()


def test_payloads(make: Make) -> None:
    payloads: list[dict[str, Any] | None] = [
        {"text": "Größe\n\u2028 日本 🙂 \ud800", "metadata": {"n": 1, "x": [None, 2.5]}},
        None,
        {},
    ]
    with make() as index:
        index.add_documents(["a", "b", "c"], documents(3), payloads)
        index.add_documents(["d"], documents(1, seed=2))
        expected = list(zip("abcd", [*payloads, None], strict=True))
        assert list(index.payloads()) == expected
        assert index.payload("a") == payloads[0]
        with pytest.raises(UnknownIdError, match="'z'"):
            index.payload("z")
        for wrong in ({"x": object()}, {"x": float("nan")}, "text"):
            with pytest.raises((TypeError, ValueError)):
                index.add_documents(["e"], documents(1), [wrong])  # type: ignore[list-item]
        with pytest.raises(ValueError, match="1 payloads for 2 documents"):
            index.add_documents(["e", "f"], documents(2), [{}])
        index.compact()
        assert list(index.payloads()) == expected
    with make() as again:
        assert list(again.payloads()) == expected


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


# ------------------------------------------------------------------------------------------- many adds, several users


def test_many_small_adds_end_in_few_segments_and_the_same_answers(make: Make) -> None:
    corpus = topical(150)
    with make() as index:
        for number, document in enumerate(corpus):
            index.add_documents([number], [document])
        assert index.ids == list(range(150))
        stored = index.get_documents_embeddings(index.ids)
        for given, kept in zip(corpus, stored, strict=True):
            np.testing.assert_allclose(kept, given, atol=0.01)
        assert len(index._view().segments) < 25
        for query in corpus[:5]:
            assert ids_of(index(query, k=9)[0]) == naive_ranking(query, index.ids, stored, 9)
        index.verify()


def test_a_reader_sees_what_a_writer_published_at_its_next_call(make: Make) -> None:
    with make() as reader, make() as writer:
        corpus = topical(30)
        assert len(reader) == 0
        writer.add_documents([0, 1], corpus[:2], [{"a": 1}, None])
        assert reader.ids == [0, 1]
        assert reader.payload(0) == {"a": 1}
        writer.update_documents([0], corpus[2:3])
        assert reader.payload(0) is None
        writer.add_documents(list(range(2, 30)), corpus[2:])
        writer.remove_documents([1])
        writer.compact()
        assert reader(corpus[9], k=3) == writer(corpus[9], k=3)
        reader.add_documents([1], corpus[1:2])  # the reader may write too, on top of what is there
        assert len(writer) == 30


def test_an_answer_in_progress_keeps_its_generation(make: Make) -> None:
    with make() as reader, make() as writer:
        writer.add_documents(["a", "b"], documents(2), [{"n": 1}, {"n": 2}])
        rows = reader.payloads()
        assert next(rows) == ("a", {"n": 1})
        writer.remove_documents(["b"])
        writer.compact()
        assert list(rows) == [("b", {"n": 2})]
        assert reader.ids == ["a"]


def test_threads_may_read_while_one_writes(make: Make) -> None:
    corpus = topical(120)
    problems: list[BaseException] = []
    with make() as index:
        index.add_documents(list(range(20)), corpus[:20])
        done = threading.Event()

        def read() -> None:
            try:
                while not done.is_set():
                    (hits,) = index(corpus[3], k=5)
                    assert hits[0]["id"] == 3
                    assert len(index) >= 20
            except BaseException as error:  # noqa: BLE001  # reported by the main thread
                problems.append(error)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for thread in readers:
            thread.start()
        for start in range(20, 120, 10):
            index.add_documents(list(range(start, start + 10)), corpus[start : start + 10])
        index.remove_documents(list(range(60, 80)))
        index.compact()
        done.set()
        for thread in readers:
            thread.join()
    assert problems == []


# ------------------------------------------------------------------------------------------------------------ opening


def test_opens_what_is_there(make: Make) -> None:
    with make(embedding_size=DIM, fingerprint="model-1") as index:
        corpus = fill(index)
        before = index(corpus[:3], k=5)
    with make() as again:
        assert again(corpus[:3], k=5) == before
        assert again.embedding_size == DIM
        assert again.fingerprint == "model-1"
    with make(fingerprint="model-1", embedding_size=DIM) as again:
        assert len(again) == 60
    with pytest.raises(IndexMismatchError, match="another model"):
        make(fingerprint="model-2")
    with pytest.raises(IndexMismatchError, match="dimension 16, not 17"):
        make(embedding_size=17)


def test_dimension_given_beforehand_binds_the_first_add(make: Make) -> None:
    with make(embedding_size=DIM + 1) as index, pytest.raises(IndexMismatchError, match="dimension 16"):
        index.add_documents([1], documents(1))
    with pytest.raises(ValueError, match="embedding_size"):
        make(embedding_size=0)


def test_override_keeps_the_old_index_until_the_first_publish(make: Make) -> None:
    with make() as old:
        fill(old)
        with make(override=True, fingerprint="new", embedding_size=8) as index:
            assert len(index) == 0
            assert index(documents(1, dim=8)) == [[]]
            assert len(old) == 60
            assert index.ids == []
            with pytest.raises(UnknownIdError):
                index.remove_documents([1])
            assert len(old) == 60
            index.add_documents(["only"], documents(1, dim=8))
            assert index.ids == ["only"]
            index.verify()
        assert old.ids == ["only"]
    with make() as again:
        assert again.ids == ["only"]


def test_another_kind_of_index_is_refused(tmp_path: Path) -> None:
    with indexes.HNSW(tmp_path, "index") as index:
        index.add_documents([1], documents(1))
    with pytest.raises(IndexVersionError, match="kind 'hnsw', not 'exact'"):
        indexes.Exact(tmp_path, "index")
    with indexes.Exact(tmp_path, "index", override=True) as index:
        index.add_documents([2], documents(1))
    with pytest.raises(IndexVersionError, match="kind 'exact', not 'hnsw'"):
        indexes.HNSW(tmp_path, "index")
    with pytest.raises(IndexMismatchError, match="int8 vectors, not float32"):
        indexes.Exact(tmp_path, "index", store="float32")


def test_a_folder_with_other_things_is_neither_used_nor_touched(make: Make, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "thesis.tex").write_text("years of work")
    for override in (False, True):
        with pytest.raises(StoreError, match=r"not a latelite index.*thesis\.tex"):
            make(override=override)
    assert (tmp_path / "index" / "thesis.tex").read_text() == "years of work"


def test_a_file_in_the_place_of_the_index(make: Make, tmp_path: Path) -> None:
    (tmp_path / "index").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        make()


def test_foreign_files_beside_an_index_survive_override(make: Make, tmp_path: Path) -> None:
    with make() as index:
        fill(index, 20)
    note = tmp_path / "index" / "note.txt"
    note.write_text("keep me")
    with make(override=True) as index:
        fill(index, 20)
        index.compact()
    assert note.read_text() == "keep me"


@pytest.mark.parametrize("name", ["", "a/b", "..", "."])
def test_refuses_names_that_are_not_one_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="index_name"):
        indexes.Exact(tmp_path, name)


def test_closed(make: Make) -> None:
    index = make()
    fill(index, 20)
    index.close()
    index.close()
    for use in (lambda: len(index), lambda: index(documents(1)), lambda: index.add_documents([9], documents(1))):
        with pytest.raises(StoreError, match="closed"):
            use()
