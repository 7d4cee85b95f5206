"""A small computer keeps serving whatever it is sent, and however much."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from latelite import Collection
from latelite.serve import Limits
from latelite.serve.collections import Collections

Narrow = Callable[[Limits], TestClient]


def test_a_long_body_is_refused(narrow: Narrow) -> None:
    client = narrow(Limits(body=1000))
    json = {"content-type": "application/json"}
    declared = client.post("/api/search", content=b" " * 1001, headers=json)
    streamed = client.post("/api/search", content=(b" " * 300 for _ in range(5)), headers=json)
    for answer in (declared, streamed):
        assert answer.status_code == 413
        assert "1000 bytes" in answer.json()["error"]
        assert answer.headers["connection"] == "close"


def test_ten_megabytes_of_question_are_refused(client: TestClient) -> None:
    assert client.post("/api/search", json={"q": "ä" * 10_000_000}).status_code == 413
    assert client.post("/v1/rerank", json={"query": "a", "documents": ["b" * 10_000_000]}).status_code == 413
    assert client.get("/api/search?q=tree").status_code == 200


def test_a_full_queue_says_when_to_come_back(narrow: Narrow, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    plain = Collection.search

    def slow(self: Collection, *arguments: Any, **options: Any) -> Any:
        gate.wait(20)
        return plain(self, *arguments, **options)

    with narrow(Limits(waiting=2)) as client:
        assert client.get("/api/search?q=tree").status_code == 200
        service = client.app.state.service  # type: ignore[attr-defined]
        monkeypatch.setattr(Collection, "search", slow)
        with ThreadPoolExecutor(20) as threads:
            asked = [threads.submit(client.get, "/api/search?q=tree") for _ in range(20)]
            while service.searching.refused == 0 or service.searching.present < service.searching._most:
                time.sleep(0.01)
            gate.set()
            answers = [each.result() for each in asked]
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.status_code for answer in answers} == {200, 503}
        assert all(answer.headers["retry-after"] == "1" for answer in refused)
        assert "busy" in refused[0].json()["error"]
        assert client.get("/api/search?q=tree").status_code == 200
        assert service.searching.present == 0
        text = client.get("/metrics").text
        assert f'latelite_refused_total{{queue="search"}} {len(refused)}' in text
        assert 'latelite_requests_total{route="/api/search",method="GET",status="503"}' in text


def test_an_answer_that_takes_too_long_is_given_up(narrow: Narrow, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    with narrow(Limits(seconds=0.2)) as client:
        while client.get("/healthz").status_code != 200:
            time.sleep(0.05)
        monkeypatch.setattr(Collection, "search", lambda *_, **__: gate.wait(20) and [])
        answer = client.get("/api/search?q=tree")
        gate.set()
    assert answer.status_code == 503
    assert "0.2 seconds" in answer.json()["error"]


def test_the_page_and_the_health_do_not_wait_for_the_model(narrow: Narrow, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    opening = Collections._open_all
    monkeypatch.setattr(Collections, "_open_all", lambda self: gate.wait(20) and opening(self))
    with narrow(Limits(seconds=0.2)) as client:
        assert client.get("/").status_code == 200
        assert client.get("/healthz").status_code == 503
        assert client.get("/healthz").json()["status"] == "loading"
        answer = client.get("/api/search?q=tree")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert client.get("/api/collections").json()["collections"][0]["state"] == "loading"
        gate.set()
        while client.get("/healthz").status_code != 200:
            time.sleep(0.02)
        assert client.get("/api/search?q=tree").status_code == 200


def test_a_fault_inside_is_an_answer_without_its_details(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("/home/somebody/secret")

    with monkeypatch.context() as patch:
        patch.setattr(Collection, "search", fail)
        answer = client.get("/api/search?q=tree")
    assert answer.status_code == 500
    assert answer.json()["status"] == 500
    assert "secret" not in answer.text
    assert client.get("/api/search?q=tree").status_code == 200
