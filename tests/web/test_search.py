"""``/api/search`` and ``/api/facets``: what comes back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from latelite import Collection
from latelite.serve import create_app
from served import HERE


def found(client: TestClient, **fields: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/search", params=fields)
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, Any]] = answer.json()["hits"]
    return hits


def test_hits_are_those_of_the_collection(client: TestClient, notes: Path) -> None:
    with Collection(notes, read_only=True) as collection:
        expected = collection.search("a temporary file", k=3, explain=True)
    answer = client.get("/api/search", params={"q": "a temporary file", "k": 3, "explain": "true"}).json()
    assert [hit["id"] for hit in answer["hits"]] == [hit.id for hit in expected]
    assert [hit["score"] for hit in answer["hits"]] == pytest.approx([hit.score for hit in expected], abs=1e-6)
    first = answer["hits"][0]
    assert set(first) == {"id", "score", "text", "metadata", "matches"}
    assert first["text"] == expected[0].text
    assert first["metadata"] == dict(expected[0].metadata)
    assert [(m["query"], m["start"], m["end"]) for m in first["matches"]] == [
        (m.query, m.start, m.end) for m in expected[0].matches
    ]
    assert answer["seconds"] > 0


def test_posted_fields_are_those_of_the_query_string(client: TestClient) -> None:
    where = {"lang": "en"}
    got = found(client, q="directory", k=2, mode="semantic", explain="1", where=json.dumps(where))
    body = {"q": "directory", "k": 2, "mode": "semantic", "explain": True, "where": where}
    posted = client.post("/api/search", json=body)
    assert posted.json()["hits"] == got
    assert {hit["metadata"]["lang"] for hit in got} == {"en"}


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "lexical"])
def test_modes_are_those_of_the_collection(client: TestClient, notes: Path, mode: Any) -> None:
    with Collection(notes, read_only=True) as collection:
        expected = [hit.id for hit in collection.search("temporary directory", k=4, mode=mode)]
    assert [hit["id"] for hit in found(client, q="temporary directory", k=4, mode=mode)] == expected


def test_matches_are_left_out_unless_asked_for(client: TestClient) -> None:
    assert all(hit["matches"] == [] for hit in found(client, q="directory"))


def test_offsets_count_code_points(client: TestClient) -> None:
    hit = next(hit for hit in found(client, q="system", explain="true", k=8) if hit["id"] == "files.md#2")
    spans = [hit["text"][match["start"] : match["end"]] for match in hit["matches"] if match["query"] == "system"]
    assert "🚚" in hit["text"]
    assert all(0 <= m["start"] < m["end"] <= len(hit["text"]) for m in hit["matches"])
    assert spans  # the emoji before it is one code point, so the slice is no half of a word
    assert all(span == span.strip() for span in spans)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({}, "q is missing"),
        ({"q": " \t"}, "q is empty"),
        ({"q": "x" * 2001}, "2000 at most"),
        ({"q": "x", "k": "0"}, "k must be an integer from 1 to 100"),
        ({"q": "x", "k": "101"}, "k must be"),
        ({"q": "x", "k": "ten"}, "k must be"),
        ({"q": "x", "k": "²"}, "k must be"),
        ({"q": "x", "mode": "fuzzy"}, "mode must be one of hybrid, semantic, lexical"),
        ({"q": "x", "explain": "maybe"}, "explain must be true or false"),
        ({"q": "x", "where": "{"}, "Where is not JSON"),
        ({"q": "x", "where": "[]"}, "where must be a JSON object"),
        ({"q": "x", "where": '{"a": NaN}'}, "NaN"),
        ({"q": "x", "where": '{"a": 1e999}'}, "too large"),
        ({"q": "x", "where": '{"year": {"$near": 1}}'}, "$near"),
        ({"q": "x", "where": json.dumps({"a": "x" * 10_001})}, "10000 characters"),
        ({"q": "x", "where": '{"$not":' * 30 + '{"a": 1}' + "}" * 30}, "16 levels"),
        ({"q": "x", "where": "[" * 9_000}, "nested"),
        ({"q": "x", "limit": "3"}, "no field 'limit'"),
    ],
)
def test_what_cannot_be_used_is_named(client: TestClient, fields: dict[str, str], part: str) -> None:
    answer = client.get("/api/search", params=fields)
    assert answer.status_code == 400, answer.text
    assert part in answer.json()["error"]
    assert answer.json()["status"] == 400


def test_a_parameter_twice_is_refused(client: TestClient) -> None:
    assert client.get("/api/search?q=a&q=b").status_code == 400


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b'{"q": "a"', b"[" * 100_000, b'{"q": Infinity}']
)
def test_broken_bodies_are_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/search", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [{"q": 1}, {"q": None}, {"q": ["a"]}, {"q": "a", "k": True}, {"q": "a", "k": "5"}, {"q": "a", "explain": 1}],
)
def test_types_are_those_of_json(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post("/api/search", json=body).status_code == 400


def test_a_body_must_be_declared_as_json(client: TestClient) -> None:
    answer = client.post("/api/search", content=b'{"q": "a"}', headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]


def test_a_lone_surrogate_is_searched_and_answered(client: TestClient) -> None:
    answer = client.post("/api/search", content=b'{"q": "\\ud800 tree"}', headers={"content-type": "application/json"})
    assert answer.status_code == 200


def test_several_collections_by_name(notes: Path, own_notes: Path) -> None:
    with Collection(own_notes) as collection:
        collection.add(["only here"], ["A quiet lighthouse on the island."], show_progress_bar=False)
    with TestClient(create_app({"notes": notes, "own": own_notes}), base_url=HERE) as client:
        assert (
            client.get("/api/own/search", params={"q": "lighthouse", "k": 1, "mode": "lexical"}).json()["hits"][0]["id"]
            == "only here"
        )
        assert client.get("/api/search", params={"q": "lighthouse"}).json() != {}
        assert client.get("/api/documents/only%20here").status_code == 404
        assert client.get("/api/own/documents/only%20here").status_code == 200
        unknown = client.get("/api/other/search", params={"q": "x"})
        assert unknown.status_code == 404
        assert "notes, own" in unknown.json()["error"]
        listed = client.get("/api/collections").json()["collections"]
        assert [(each["name"], each["documents"]) for each in listed] == [("notes", 8), ("own", 9)]


@pytest.mark.parametrize("name", ["search", "documents", "", "a/b"])
def test_a_name_that_paths_cannot_use_is_refused(notes: Path, name: str) -> None:
    with pytest.raises(ValueError, match="another name"):
        create_app({name: notes})


def test_facets_count_the_values_worth_offering(client: TestClient) -> None:
    answer = client.get("/api/facets").json()
    fields = {each["field"]: each for each in answer["facets"]}
    assert answer["documents"] == 8
    assert answer["complete"] is True
    assert "line" not in fields  # a passage's place narrows nothing
    assert fields["lang"]["many"] is False
    assert fields["lang"]["values"][0] == {"value": "en", "count": 4}
    assert fields["tags"]["many"] is True
    assert fields["tags"]["values"][0] == {"value": "all", "count": 8}
    narrowed = client.get("/api/facets", params={"where": '{"lang": "de"}'}).json()
    assert narrowed["documents"] == 1


def test_facets_keep_types_apart() -> None:
    from latelite.serve.facets import count_values

    documents, fields = count_values([{"a": 1}, {"a": True}, {"a": "1"}, {"a": 1}, {"a": None}, {"b": {"c": 1}}])
    assert documents == 6
    (only,) = fields
    values = {json.dumps(each["value"]): each["count"] for each in only["values"]}
    assert values == {"1": 2, "true": 1, '"1"': 1}
