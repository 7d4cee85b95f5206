"""mteb: its evaluation of a bundle gives the figures of benchmarks/metrics.py for the same rankings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mteb", reason="mteb is not installed: make test-integrations")

import beir
import metrics
import mteb
from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models import SearchProtocol

from latelite.integrations.mteb import LateliteSearch
from latelite.models import ColBERT

from .examples import run_example, run_line

DATA = Path(__file__).parents[3] / "shared" / "data"
THINGS = ("rye bread", "night trains", "tax returns", "tomatoes", "bicycles", "old books", "sailing")
ANGLES = ("in winter", "for beginners", "at a good price", "in the north")
QUESTIONS = ("Roggenbrot", "treni di notte", "impuestos", "tomaten kweken", "vélo", "livros velhos", "Segeln lernen")


def task_of(folder: Path, candidates: Mapping[str, list[str]] | None = None) -> AbsTaskRetrieval:
    """A retrieval task of mteb from a folder in BEIR layout; a reranking task with ``candidates``."""
    found = beir.load(folder)

    class Task(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=folder.name,
            description=f"The set in {folder.name}.",
            dataset={"path": str(folder), "revision": "1"},
            reference=None,
            type="Retrieval" if candidates is None else "Reranking",
            category="t2t",
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

        def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
            self.dataset = {
                "default": {
                    "test": {
                        "corpus": Dataset.from_list([{"id": k, "text": v} for k, v in found.documents.items()]),
                        "queries": Dataset.from_list([{"id": k, "text": v} for k, v in found.queries.items()]),
                        "relevant_docs": found.qrels,
                        "top_ranked": candidates,
                    }
                }
            }
            self.data_loaded = True

    return Task()


class Recorded(LateliteSearch):
    """Remembers its answers."""

    def search(self, *args: Any, **kwargs: Any) -> dict[str, dict[str, float]]:
        self.found = super().search(*args, **kwargs)
        return self.found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Questions in seven languages about 28 notes; those about one thing are relevant, one of them very."""
    made = tmp_path / "things"
    made.mkdir()
    corpus = [
        {"_id": f"{n}-{m}", "title": thing, "text": f"A note about {thing} {angle}."}
        for n, thing in enumerate(THINGS)
        for m, angle in enumerate(ANGLES)
    ]
    queries = [{"_id": f"q{n}", "text": text} for n, text in enumerate(QUESTIONS)]
    rows = [f"q{n}\t{n}-{m}\t{1 + (m == n % 4)}" for n in range(len(THINGS)) for m in range(3)]
    (made / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)), encoding="utf-8")
    (made / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), encoding="utf-8")
    (made / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]), encoding="utf-8")
    return made


@pytest.fixture(params=["hybrid", "semantic"])
def model(encoder: ColBERT, request: pytest.FixtureRequest) -> Iterator[Recorded]:
    with Recorded(encoder, mode=request.param) as searched:
        yield searched


def figures(model: LateliteSearch, task: AbsTaskRetrieval) -> dict[str, float]:
    """What mteb says, by the names of `metrics.METRICS`."""
    result = mteb.evaluate(model, task, cache=None, co2_tracker=False, show_progress_bar=False)
    scores = result.task_results[0].scores["test"][0]
    names = {"ndcg@10": "ndcg_at_10", "recall@100": "recall_at_100", "mrr@10": "mrr_at_10"}
    return {ours: scores[theirs] for ours, theirs in names.items()}


def own_figures(found: Mapping[str, Mapping[str, float]], folder: Path) -> dict[str, float]:
    return metrics.evaluate({query: list(hits) for query, hits in found.items()}, beir.load(folder).qrels)


def check(model: Recorded, folder: Path) -> dict[str, float]:
    theirs = figures(model, task_of(folder))
    for name, ours in own_figures(model.found, folder).items():
        assert theirs[name] == pytest.approx(ours, abs=1e-4), name
    return theirs


def test_a_generated_set(model: Recorded, folder: Path) -> None:
    assert isinstance(model, SearchProtocol)
    found = check(model, folder)
    assert found["recall@100"] == 1
    assert 0.5 < found["ndcg@10"] < 1


@pytest.mark.skipif(not (DATA / "it-xquad").is_dir(), reason="needs the evaluation sets in ../shared/data")
def test_an_evaluation_set(encoder: ColBERT) -> None:
    with Recorded(encoder) as model:
        found = check(model, DATA / "it-xquad")
    assert found["ndcg@10"] > 0.85


def test_reranking_orders_the_candidates_alone(model: Recorded, folder: Path) -> None:
    candidates = {f"q{n}": [f"{m}-0" for m in range(len(THINGS))] for n in range(3)}
    figures(model, task_of(folder, candidates))
    assert {query: sorted(hits) for query, hits in model.found.items()} == candidates
    assert all(next(iter(hits)) == f"{query[1:]}-0" for query, hits in model.found.items())


def test_results_name_model_mode_and_precision(model: Recorded, encoder: ColBERT) -> None:
    meta = model.mteb_model_meta
    assert (meta.name, meta.revision) == ("latelite/latelite-colbert-16m", encoder.manifest.fingerprint)
    assert meta.experiment_kwargs == {"mode": model.mode, "precision": "int8", "index": "Exact"}


def test_what_it_cannot_read_is_named(model: Recorded) -> None:
    common: dict[str, Any] = {
        "task_metadata": None,
        "hf_split": "",
        "hf_subset": "",
        "encode_kwargs": {},
        "num_proc": 1,
    }
    with pytest.raises(RuntimeError, match="call index first"):
        model.search([{"id": "q", "text": "bread"}], top_k=1, **common)
    with pytest.raises(ValueError, match="document 'a' has no text"):
        model.index([{"id": "a", "image": b""}], **common)
    model.index([{"id": "a", "text": "Rye bread."}, {"id": "b", "text": "Trains.", "title": "North"}], **common)
    with pytest.raises(ValueError, match="query 'q' is no text but list"):
        model.search([{"id": "q", "text": [{"role": "user", "content": "bread"}]}], top_k=1, **common)
    found = model.search([{"id": "q", "text": "bread", "instruction": "to eat"}], top_k=1, **common)
    assert list(found["q"]) == ["a"]
    with pytest.raises(ValueError, match="mode must be"):
        LateliteSearch(model.model, mode="dense")  # type: ignore[arg-type]


@pytest.mark.usefixtures("project")
def test_the_documentations_examples_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mteb, "get_task", lambda name: task_of(folder))  # those of the hub need a network
    monkeypatch.setenv("MTEB_CACHE", str(folder.parent / "cache"))
    for result in (run_example("latelite.integrations.mteb")["value"], run_line("mteb.evaluate", mteb=mteb)):
        assert result.task_results[0].scores["test"][0]["recall_at_100"] == 1
