"""Every row of the quality table, on a set whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import quality

from benchmark_sets import write_set
from latelite import models


@pytest.fixture
def tiny(bundle: Callable[[str], Path]) -> Path:
    return bundle("bert-pylate")


def evaluation(folder: Path, bundle: Path, cache: Path, corpus: Path | None = None) -> quality.Evaluation:
    return quality.Evaluation(folder, corpus, bundle, cache, 2)


def test_all_rows_are_written(retrieval_set: Path, tiny: Path, tmp_path: Path) -> None:
    target = tmp_path / "quality.json"
    assert quality.main(["--bundle", str(tiny), "--data", str(retrieval_set), "--json", str(target)]) == 0
    figures = json.loads(target.read_text())["sets"]["en-tiny"]
    assert (figures["language"], figures["documents"], figures["queries"]) == ("en", 4, 2)
    assert set(figures["rows"]) == {*quality.ROWS, *quality.BASELINES}
    assert set(figures["encode_query_ms"]) == {"fp32", "int8"}
    for row in figures["rows"].values():
        assert 0 <= row["ndcg@10"] <= 1
        assert row["recall@100"] == 1  # four documents are among the best hundred
        assert row["query_ms"] > 0


def test_bm25_finds_the_words(retrieval_set: Path, tiny: Path, tmp_path: Path) -> None:
    assert evaluation(retrieval_set, tiny, tmp_path).row("bm25")["mrr@10"] == 1


def test_exact_rows_rank_by_similarity(retrieval_set: Path, tiny: Path, tmp_path: Path) -> None:
    one = evaluation(retrieval_set, tiny, tmp_path)
    for precision in ("fp32", "int8"):
        model = models.ColBERT(tiny, precision=precision)
        ids = list(one.data.documents)
        scores = model.similarity(
            model.encode_query(list(one.data.queries.values())),
            model.encode_document(list(one.data.documents.values())),
        )
        expected = [[ids[i] for i in row] for row in (-scores).argsort(axis=1)]
        assert list(one._exact(precision).rankings.values()) == expected


def test_mean_pool_differs_from_late_interaction(retrieval_set: Path, tiny: Path, tmp_path: Path) -> None:
    one = evaluation(retrieval_set, tiny, tmp_path)
    queries, documents = one.vectors("int8")
    (name, query), *_ = queries.items()
    means = {id_: v.mean(axis=0) for id_, v in documents.items()}
    cosines = {
        id_: float(v @ query.mean(axis=0)) / float((v @ v) ** 0.5 * (query.mean(axis=0) ** 2).sum() ** 0.5)
        for id_, v in means.items()
    }
    assert one._mean_pool().rankings[name] == sorted(cosines, key=lambda id_: -cosines[id_])


def test_queries_of_one_folder_are_asked_of_another(retrieval_set: Path, tiny: Path, tmp_path: Path) -> None:
    queries = write_set(tmp_path / "data" / "de-tiny", "de")
    (queries / "corpus.jsonl").write_text('{"_id": "train", "text": "Der Nachtzug fährt um sieben."}\n')
    one = evaluation(queries, tiny, tmp_path / "cache", corpus=retrieval_set)
    assert one.data.name == "de-tiny -> en-tiny"
    assert one.language == "de"
    asked, documents = one.vectors("int8")
    assert (set(asked), set(documents)) == ({"q1", "q2"}, {"bread", "train", "tree", "mail"})
