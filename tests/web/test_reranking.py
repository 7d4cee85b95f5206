"""Reranking and embedding, as clients of other projects ask for them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from latelite.models import ColBERT
from latelite.rank import rerank
from served import TOKEN, serving

QUESTION = "How do I remove a folder?"
TEXTS = ["The train leaves at seven.", "Delete a whole directory tree.", "Rye bread needs time."]


@pytest.fixture(scope="module")
def expected(model: ColBERT) -> list[tuple[int, float, float]]:
    """Position, MaxSim and mean cosine, best first."""
    query = model.encode_query(QUESTION)
    (ranked,) = rerank([range(3)], [query], [model.encode_document(TEXTS)])
    return [(int(each["id"]), each["score"], each["score"] / len(query)) for each in ranked]


Expected = list[tuple[int, float, float]]


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
def test_the_shape_of_cohere_and_jina(client: TestClient, expected: Expected, path: str) -> None:
    body: dict[str, Any] = {"model": "rerank-v3.5", "query": QUESTION, "documents": TEXTS, "top_n": 2}
    answer = client.post(path, json=body).json()
    assert [each["index"] for each in answer["results"]] == [place for place, *_ in expected[:2]]
    scores = [each["relevance_score"] for each in answer["results"]]
    assert scores == pytest.approx([mean for *_, mean in expected[:2]], abs=1e-5)
    assert all(0 <= score <= 1 for score in scores)
    assert [each["document"]["text"] for each in answer["results"]] == [TEXTS[place] for place, *_ in expected[:2]]
    assert answer["usage"]["total_tokens"] > 0
    assert answer["meta"]["api_version"]["version"] == "1"
    without = client.post(path, json={**body, "return_documents": False}).json()
    assert "document" not in without["results"][0]


def test_documents_may_be_objects(client: TestClient, expected: Expected) -> None:
    objects = [{"text": text} for text in TEXTS]
    answer = client.post("/v1/rerank", json={"query": QUESTION, "documents": objects}).json()
    assert [each["index"] for each in answer["results"]] == [place for place, *_ in expected]
    by_fields = {
        "query": QUESTION,
        "documents": [{"title": text, "other": "noise"} for text in TEXTS],
        "rank_fields": ["title"],
    }
    answer = client.post("/v1/rerank", json=by_fields).json()
    assert [each["index"] for each in answer["results"]] == [place for place, *_ in expected]


def test_the_second_version_gives_positions_and_scores(client: TestClient, expected: Expected) -> None:
    answer = client.post("/v2/rerank", json={"model": "x", "query": QUESTION, "documents": TEXTS}).json()
    assert [set(each) for each in answer["results"]] == [{"index", "relevance_score"}] * 3
    assert [each["index"] for each in answer["results"]] == [place for place, *_ in expected]


def test_the_shape_of_text_embeddings_inference(client: TestClient, expected: Expected) -> None:
    body = {"query": QUESTION, "texts": TEXTS}
    answer = client.post("/rerank", json=body).json()
    assert [each["index"] for each in answer] == [place for place, *_ in expected]
    assert [each["score"] for each in answer] == pytest.approx([mean for *_, mean in expected], abs=1e-5)
    assert "text" not in answer[0]
    raw = client.post("/rerank", json={**body, "raw_scores": True, "return_text": True, "truncate": True}).json()
    assert [each["score"] for each in raw] == pytest.approx([score for _, score, _ in expected], abs=1e-4)
    assert raw[0]["text"] == TEXTS[expected[0][0]]


@pytest.mark.parametrize(
    "body",
    [
        {"query": "a"},
        {"query": "a", "documents": []},
        {"query": "a", "documents": "b"},
        {"query": "a", "documents": [1]},
        {"query": "a", "documents": [{"title": "no text"}]},
        {"query": "a", "documents": [{"text": {}}]},
        {"query": "a", "documents": ["b"] * 1001},
        {"query": "", "documents": ["b"]},
        {"query": "a", "documents": ["b"], "top_n": 0},
        {"query": "a", "documents": [{"a": "b"}], "rank_fields": "a"},
    ],
)
def test_what_cannot_be_ranked_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    for path in ("/v1/rerank", "/v2/rerank"):
        assert client.post(path, json=body).status_code == 400
    texts = {"query": body["query"], "texts": body.get("documents")}
    if "rank_fields" not in body and "top_n" not in body:
        assert client.post("/rerank", json=texts).status_code == 400


def test_embeddings_are_those_of_the_model(client: TestClient, model: ColBERT) -> None:
    for as_queries in (True, False):
        answer = client.post("/v1/embeddings", json={"input": TEXTS, "is_query": as_queries}).json()
        assert [each["index"] for each in answer["data"]] == [0, 1, 2]
        assert {each["object"] for each in answer["data"]} == {"embedding"}
        for each, vectors in zip(answer["data"], model.encode(TEXTS, is_query=as_queries), strict=True):
            np.testing.assert_allclose(each["embedding"], vectors, atol=1e-5)
    single = client.post("/v1/embeddings", json={"input": TEXTS[0]}).json()
    np.testing.assert_allclose(single["data"][0]["embedding"], model.encode(TEXTS[0]), atol=1e-5)
    assert single["model"] == model.manifest.checkpoint["id"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": []},
        {"input": [1]},
        {"input": ["a"] * 65},
        {"input": "a", "model": "lightonai/GTE-ModernColBERT-v1"},
    ],
)
def test_what_cannot_be_embedded_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post("/v1/embeddings", json=body).status_code == 400


COHERE = """
import json, sys
import cohere
address, question, texts, token = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4]
first = cohere.Client(api_key=token, base_url=address)
one = first.rerank(model="rerank-v3.5", query=question, documents=texts, top_n=2, return_documents=True)
second = cohere.ClientV2(api_key=token, base_url=address)
two = second.rerank(model="rerank-v3.5", query=question, documents=texts)
try:
    second.rerank(model="rerank-v3.5", query=question, documents=[])
    refused = None
except cohere.core.api_error.ApiError as error:
    refused = error.status_code
print(json.dumps({
    "one": [[r.index, r.relevance_score, r.document.text] for r in one.results],
    "two": [[r.index, r.relevance_score] for r in two.results],
    "refused": refused,
}))
"""


def test_an_unmodified_cohere_client_gets_answers(notes: Path, peer: Callable[[str], str], expected: Expected) -> None:
    python = peer("cohere")
    with serving(notes, "--allow-host", "search.example", environment={"LATELITE_TOKEN": TOKEN}) as address:
        done = subprocess.run(
            [python, "-c", COHERE, address, QUESTION, json.dumps(TEXTS), TOKEN],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert [place for place, *_ in got["one"]] == [place for place, *_ in expected[:2]]
    assert [score for _, score, _ in got["one"]] == pytest.approx([mean for *_, mean in expected[:2]], abs=1e-5)
    assert [text for *_, text in got["one"]] == [TEXTS[place] for place, *_ in expected[:2]]
    assert [place for place, _ in got["two"]] == [place for place, *_ in expected]
    assert got["refused"] == 400
