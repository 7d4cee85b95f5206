"""Every row of the quality table, on a set whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import baselines
import halves
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
    arguments = ["--bundle", str(tiny), "--data", str(retrieval_set), "--half", "all", "--json", str(target)]
    assert quality.main(arguments) == 0
    figures = json.loads(target.read_text())["sets"]["en-tiny"]
    assert (figures["language"], figures["documents"], figures["queries"]) == ("en", 4, 2)
    assert set(figures["rows"]) == {*quality.ROWS, *quality.WORDS}
    assert set(figures["encode_query_ms"]) == {"fp32", "int8"}
    for row in figures["rows"].values():
        assert 0 <= row["ndcg@10"] <= 1
        assert row["recall@100"] == 1  # four documents are among the best hundred
        assert row["query_ms"] > 0
        assert row["index_bytes"] > 0
        assert row["interval"]["low"] <= row["ndcg@10"] <= row["interval"]["high"]
    assert "difference" in figures["rows"]["bm25"]
    assert set(figures["sha256"]) == {f"en-tiny/{name}" for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv")}


def test_only_questions_of_the_named_half_are_asked(retrieval_set: Path, tiny: Path, tmp_path: Path) -> None:
    asked = [
        set(quality.Evaluation(retrieval_set, None, tiny, tmp_path, 0, side).data.queries)
        for side in halves.HALVES
        if halves.of_half(["q1", "q2"], side)
    ]
    assert set().union(*asked) == {"q1", "q2"}
    assert sum(map(len, asked)) == 2


@pytest.mark.parametrize("row", ["bm25", "bm25 stems", "int8 hybrid"])
def test_words_are_found(row: str, retrieval_set: Path, tiny: Path, tmp_path: Path) -> None:
    assert evaluation(retrieval_set, tiny, tmp_path).rows([row])[row]["mrr@10"] == 1


def test_stems_meet_words_of_another_form() -> None:
    documents = {"a": "The dogs barked.", "b": "Cats sleep."}
    assert baselines.bm25(documents, "en")("barking dog")[0] == "a"
    with pytest.raises(ValueError, match="Snowball"):
        baselines.bm25(documents, "tlh")


def test_teacher_needs_its_folder(retrieval_set: Path, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--e5"):
        evaluation(retrieval_set, tiny, tmp_path).rows(["e5 mean"])


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


def test_queries_of_one_folder_are_asked_of_another(retrieval_set: Path, tiny: Path, tmp_path: Path) -> None:
    queries = write_set(tmp_path / "data" / "de-tiny", "de")
    (queries / "corpus.jsonl").write_text('{"_id": "train", "text": "Der Nachtzug fährt um sieben."}\n')
    one = evaluation(queries, tiny, tmp_path / "cache", corpus=retrieval_set)
    assert one.data.name == "de-tiny -> en-tiny"
    assert one.language == "de"
    asked, documents = one.vectors("int8")
    assert (set(asked), set(documents)) == ({"q1", "q2"}, {"bread", "train", "tree", "mail"})
