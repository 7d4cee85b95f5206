"""The benchmark of indexes: real texts, encoded once; each kind runs in a separate process."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import beir
import index
import index_growth
import index_process
import metrics
import numpy as np
import pytest
import token_graph
import token_vectors

from index_samples import ids_of, naive_ranking, topical
from latelite import indexes, models


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
    data = beir.load(retrieval_set)
    sets = [
        token_vectors.EncodedSet(data, [np.zeros((1, 2))] * 10, [np.full((1, 2), number)] * 30) for number in range(3)
    ]
    assert [int(query[0, 0]) for query in index.asked(sets, 10, 4)] == [0, 0, 0, 0]
    assert [int(query[0, 0]) for query in index.asked(sets, 11, 4)] == [0, 1, 0, 1]
    assert [int(query[0, 0]) for query in index.asked(sets, 30, 5)] == [0, 1, 2, 1, 2]
    assert [int(query[0, 0]) for query in index.asked(sets, 30, 2)] == [1, 2]


@pytest.mark.parametrize("kind", list(index_process.KINDS))
def test_every_kind_is_built_and_asked(kind: str, tmp_path: Path) -> None:
    corpus = topical(60)
    folder = tmp_path / "index"
    assert index_process.build(kind, folder, corpus) is not None
    assert index_process.build(kind, folder, corpus) is None
    queries = [corpus[3], corpus[40]]
    found = index_process.ask(kind, folder, queries, deep=1)
    assert [best[0] for best in found["top10"]] == [3, 40]
    assert [best[0] for best in found["top100"]] == [3]
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


def test_growth_is_the_power_of_the_tokens() -> None:
    rows = [{"kind": "IVF", "tokens": tokens, "p50_ms": ms} for tokens, ms in ((1600, 8.0), (100, 2.0), (400, 4.0))]
    found = index_growth.exponents([*rows, {"kind": "Exact", "tokens": 100, "p50_ms": 1.0}])
    assert [(line["from_tokens"], line["to_tokens"], line["exponent"]) for line in found] == [
        (100, 400, 0.5),
        (400, 1600, 0.5),
    ]


@pytest.mark.parametrize(
    ("scans", "lists", "tokens"),
    [
        ([1, 2, 4], [2, 2.5, 2], 237),  # between 200 and 400, where the logarithms of the ratios meet
        ([1, 2, 4], [2, 3, 5], None),
        ([3, 4, 5], [2, 3, 4], 100),
        ([3, 1, 5], [2, 3, 4], 356),  # what is faster at a small size only does not count
    ],
)
def test_lists_overtake_a_scan_where_they_stay_faster(
    scans: list[float], lists: list[float], tokens: int | None
) -> None:
    rows = [
        {"tokens": size, "scan_ms": scan, "lists_ms": listed}
        for size, scan, listed in zip((100, 200, 400), scans, lists, strict=True)
    ]
    found = index_growth.crossing(rows)
    assert found == tokens if tokens is None or found is None else abs(found - tokens) <= 0.01 * tokens


def test_scan_and_lists_are_timed_on_the_same_documents(tmp_path: Path) -> None:
    corpus = topical(200)
    ends = list(accumulate(map(len, corpus)))
    rows = index_growth.scan_or_lists(corpus, corpus[:2], [ends[49], ends[99] + 1], tmp_path)
    assert [row["documents"] for row in rows] == [50, 101]
    assert all(row["scan_ms"] > 0 and row["lists_ms"] > 0 for row in rows)


def test_adding_takes_pieces_of_documents(tmp_path: Path) -> None:
    corpus = topical(80, longest=60)
    found = index_growth.adding(corpus, 50, 5, 3, tmp_path / "index")
    assert found["documents"] == 50
    assert found["proportional_s"] == pytest.approx(found["build_s"] / 10, abs=1e-3)
    assert len(indexes.IVF(tmp_path / "index")) == 65
    with pytest.raises(ValueError, match="too few"):
        index_growth.adding(corpus[:2], 50, 5, 3, tmp_path / "other")


def test_quality_is_that_of_the_rankings(retrieval_set: Path, model: models.ColBERT, tmp_path: Path) -> None:
    encoded = token_vectors.encoded(retrieval_set, model, tmp_path)
    line = index.quality(encoded, 10)
    rankings = {}
    for name, query in zip(encoded.data.queries, encoded.queries, strict=True):
        rankings[name] = naive_ranking(query, list(encoded.data.documents), encoded.documents, 10)
    expected = 100 * metrics.evaluate(rankings, encoded.data.qrels)["ndcg@10"]
    assert line["exact_float32"] == pytest.approx(expected, abs=0.01)
    assert line["queries"] == 2


def test_figures_are_kept_as_they_come(tmp_path: Path) -> None:
    report = index.Report(tmp_path / "figures.json", queries=3)
    report.add("rows", {"kind": "IVF"})
    report.set("crossing_tokens", None)
    report.add("rows", {"kind": "HNSW"})
    assert json.loads((tmp_path / "figures.json").read_text()) == {
        "queries": 3,
        "rows": [{"kind": "IVF"}, {"kind": "HNSW"}],
        "crossing_tokens": None,
    }
