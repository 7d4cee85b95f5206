"""End-to-end timing: enough queries, stages within the total, cold start in a separate process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import corpora
import footprint
import process
import pytest
import search

from latelite import models


@pytest.fixture
def model(bundle: Callable[[str], Path]) -> models.ColBERT:
    return models.ColBERT(bundle("bert-pylate"), precision="int8", threads=1)


@pytest.fixture
def corpus(retrieval_set: Path) -> corpora.Corpus:
    return corpora.folder(retrieval_set)


@pytest.fixture
def folder(tmp_path: Path, model: models.ColBERT, corpus: corpora.Corpus) -> Path:
    target = tmp_path / "benchmark.lt"
    search.collection(target, model, "Exact", corpus, model.encode_document(list(corpus.documents.values())))
    return target


def test_a_stream_asks_as_often_and_as_long_as_told(folder: Path, model: models.ColBERT) -> None:
    queries = ["night train", "a much longer question about bread and trains"]
    figures = search.stream(folder, model, queries, min_queries=50, min_seconds=0)
    assert figures["total"]["calls"] == 50
    assert sum(each["calls"] for each in figures["lengths"].values() if each) == 50
    start = time.perf_counter()
    search.stream(folder, model, queries, min_queries=1, min_seconds=0.3)
    assert time.perf_counter() - start >= 0.3


def test_stages_lie_inside_the_total(folder: Path, model: models.ColBERT) -> None:
    figures = search.stream(folder, model, ["night train"], min_queries=50, min_seconds=0)
    means = {stage: each["mean"] for stage, each in figures["stages"].items()}
    assert set(means) == {"tokenize", "encode", "retrieve", "rerank"}
    assert all(mean >= 0 for mean in means.values())
    assert means["encode"] > 0
    assert means["rerank"] > 0
    assert sum(means.values()) < figures["total"]["mean"]


def test_the_watches_are_taken_off_again(folder: Path, model: models.ColBERT) -> None:
    run = model._session.run
    search.stream(folder, model, ["night train"], min_queries=1, min_seconds=0)
    assert model._session.run == run


def test_percentiles_are_milliseconds() -> None:
    figures = search.percentiles([number / 1000 for number in range(101)])
    assert figures == pytest.approx({"p50": 50, "p90": 90, "p95": 95, "p99": 99, "mean": 50, "calls": 101})
    assert search.percentiles([]) is None


def test_a_new_process_reports_marks_in_order(folder: Path) -> None:
    marks = process.started(folder, "int8", ["night train", "bread"], evict=True)
    order = ("interpreter_ms", "imported_ms", "opened_ms", "first_answer_ms")
    assert 0 < marks[order[0]] < marks[order[1]] < marks[order[2]] < marks[order[3]] < 60_000
    assert len(marks["next_ms"]) == 1
    assert marks["memory_asked"]["peak"] >= marks["memory_opened"]["resident"] > 1e6


def test_footprint_of_a_collection(model: models.ColBERT, corpus: corpora.Corpus) -> None:
    vectors = model.encode_document(list(corpus.documents.values()))
    row = footprint.of_collection("Exact", model, corpus, vectors, "int8")
    tokens = sum(map(len, vectors))
    assert (row["documents"], row["tokens"]) == (4, tokens)
    assert row["index_bytes"] > tokens * model.dim  # int8 codes, and what belongs to them
    assert row["text_bytes"] >= sum(map(len, corpus.documents.values()))
    assert row["memory_asked"]["resident"] > 1e6


def test_docstrings_are_a_corpus_with_enough_queries() -> None:
    found = corpora.docstrings()
    assert len(found.documents) > 3000
    assert len(set(found.queries)) == len(found.queries) > 1024
    assert corpora.docstrings().queries == found.queries
    part = found.part(100)
    assert len(part.documents) == 100
    assert part.documents.items() <= found.documents.items()
