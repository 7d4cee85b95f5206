"""Many adds and several users: what every kind of index promises."""

from __future__ import annotations

import threading

import numpy as np

from index_kinds import Make
from index_samples import ids_of, naive_ranking, topical


def test_many_small_adds_end_in_few_segments_and_the_same_answers(make: Make) -> None:
    corpus = topical(150)
    with make() as index:
        for number, document in enumerate(corpus):
            index.add_documents([number], [document])
        assert index.ids == list(range(150))
        stored = index.get_documents_embeddings(index.ids)
        for given, kept in zip(corpus, stored, strict=True):
            np.testing.assert_allclose(kept, given, atol=0.01)
        assert len(index._storage.view().parts) < 25
        for query in corpus[:5]:
            assert ids_of(index(query, k=9)[0]) == naive_ranking(query, index.ids, stored, 9)
        index.verify()


def test_a_reader_sees_what_a_writer_published_at_its_next_call(make: Make) -> None:
    with make() as reader, make() as writer:
        corpus = topical(30)
        assert len(reader) == 0
        writer.add_documents([0, 1], corpus[:2])
        assert reader.ids == [0, 1]
        writer.update_documents([0], corpus[2:3])
        writer.add_documents(list(range(2, 30)), corpus[2:])
        writer.remove_documents([1])
        writer.compact()
        assert reader(corpus[9], k=3) == writer(corpus[9], k=3)
        reader.add_documents([1], corpus[1:2])  # the reader may write too, on top of what is there
        assert len(writer) == 30


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
