"""The benchmark of indexes: real texts, encoded once, every kind asked in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import index
import index_process
import numpy as np
import pytest
import token_graph
import token_vectors

from index_samples import ids_of, naive_ranking, topical
from latelite import models


@pytest.fixture
def model(bundle: Callable[[str], Path]) -> models.ColBERT:
    return models.ColBERT(bundle("bert-pylate"), precision="int8", threads=1)


def test_vectors_are_encoded_once(
    retrieval_set: Path, model: models.ColBERT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = token_vectors.encoded(retrieval_set, model, tmp_path)
    expected = model.encode(list(first.data.documents.values()), is_query=False)
    for a, b in zip(first.documents, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    monkeypatch.setattr(model, "encode", None)
    again = token_vectors.encoded(retrieval_set, model, tmp_path)
    for a, b in zip(first.queries, again.queries, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_was_interrupted_is_encoded_again(retrieval_set: Path, model: models.ColBERT, tmp_path: Path) -> None:
    first = token_vectors.encoded(retrieval_set, model, tmp_path)
    (lengths,) = tmp_path.rglob("documents_lengths.npy")
    lengths.unlink()
    lengths.with_name("documents.npy").write_bytes(b"half of it")
    again = token_vectors.encoded(retrieval_set, model, tmp_path)
    np.testing.assert_array_equal(np.concatenate(again.documents), np.concatenate(first.documents))


def test_queries_come_evenly_from_the_sets_that_a_size_reaches_into(retrieval_set: Path, model: models.ColBERT) -> None:
    data = index.token_vectors.beir.load(retrieval_set)
    sets = [
        token_vectors.EncodedSet(data, [np.zeros((1, 2))] * 10, [np.full((1, 2), number)] * 30) for number in range(3)
    ]
    assert [int(query[0, 0]) for query in index.asked(sets, 10, 4)] == [0, 0, 0, 0]
    assert [int(query[0, 0]) for query in index.asked(sets, 11, 4)] == [0, 0, 1, 1]
    assert [int(query[0, 0]) for query in index.asked(sets, 30, 5)] == [0, 1, 1, 2, 2]


@pytest.mark.parametrize("kind", list(index_process.KINDS))
def test_every_kind_is_built_and_asked(kind: str, tmp_path: Path) -> None:
    corpus = topical(60)
    folder = tmp_path / "index"
    assert index.build(kind, folder, corpus) is not None
    assert index.build(kind, folder, corpus) is None
    queries = [corpus[3], corpus[40]]
    found = index.ask(kind, folder, queries)
    assert [best[0] for best in found["top10"]] == [3, 40]
    assert len(found["milliseconds"]) == len(found["cpu_milliseconds"]) == 2
    assert all(
        0 < part <= whole for part, whole in zip(found["scoring_milliseconds"], found["milliseconds"], strict=True)
    )
    row = index.row(kind, folder, corpus, 1.0, found, found)
    assert row["recall@10"] == row["times_faster"] == 1.0
    assert row["tokens"] == list(accumulate(map(len, corpus)))[-1]
    json.dumps(row)


def test_recall_is_the_share_that_is_found() -> None:
    assert index.recall([[1, 2], [3, 9]], [[2, 1], [3, 4]]) == 0.75


def test_the_token_graph_ranks_what_it_finds_exactly(tmp_path: Path) -> None:
    corpus = topical(40)
    token_graph.TokenGraph(tmp_path).add_documents(range(40), corpus)
    graph = token_graph.TokenGraph(tmp_path)
    for query in (corpus[5], corpus[30][:4]):
        (hits,) = graph([query], k=3)
        assert ids_of(hits) == naive_ranking(query, range(40), corpus, 3)
