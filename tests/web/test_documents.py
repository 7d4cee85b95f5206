"""``/api/documents``: reading, listing, changing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from latelite import Collection
from latelite.errors import IndexLockedError, IndexWriteError
from served import DOCUMENTS, TOKEN

WITH_TOKEN = {"authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(("id", "text"), [(id, text) for id, text, *_ in DOCUMENTS])
def test_every_document_has_an_address(client: TestClient, id: int | str, text: str) -> None:
    answer = client.get(f"/api/documents/{quote(str(id), safe='')}")
    assert answer.status_code == 200
    assert (answer.json()["id"], answer.json()["text"]) == (id, text)


@pytest.mark.parametrize("id", ["nothing", "8", "07", "-7", "7.0", "%00", "..%2F..%2F..%2Fetc%2Fpasswd", "a" * 2000])
def test_an_unknown_id_is_not_found(client: TestClient, id: str) -> None:
    answer = client.get(f"/api/documents/{id}")
    assert answer.status_code in (400, 404)
    assert "root:" not in answer.text
    assert answer.json()["error"]


def test_the_passages_around_one_stand_in_the_order_of_the_file(client: TestClient) -> None:
    answer = client.get("/api/documents/files.md%232", params={"around": 2}).json()
    assert [each["id"] for each in answer["before"]] == ["files.md#1"]
    assert [each["id"] for each in answer["after"]] == ["files.md#3"]
    assert "before" not in client.get("/api/documents/files.md%232").json()


def test_lists_have_pages_and_conditions(client: TestClient) -> None:
    first = client.get("/api/documents", params={"limit": 3}).json()
    second = client.get("/api/documents", params={"limit": 3, "offset": 3}).json()
    assert [each["id"] for each in first["documents"] + second["documents"]] == [id for id, *_ in DOCUMENTS[:6]]
    assert first["total"] == 8
    german = client.get("/api/documents", params={"where": json.dumps({"lang": {"$in": ["de", "nl"]}})}).json()
    assert [each["id"] for each in german["documents"]] == ["bahn.md#1", 7]
    assert german["total"] == 2


def test_a_reading_server_changes_nothing(client: TestClient) -> None:
    assert client.put("/api/documents/x", json={"text": "a"}).status_code == 403
    assert client.delete("/api/documents/files.md%231").status_code == 403
    assert client.get("/api/documents/files.md%231").status_code == 200


def test_writing_needs_the_token(writing: TestClient) -> None:
    for headers in ({}, {"authorization": "Bearer wrong-token"}, {"authorization": f"Basic {TOKEN}"}):
        answer = writing.put("/api/documents/x", json={"text": "a"}, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert writing.delete("/api/documents/7", headers=headers).status_code == 401
    assert writing.get("/api/documents/x").status_code == 404
    assert writing.get("/api/documents/7").status_code == 200


def test_documents_are_stored_replaced_and_removed(writing: TestClient, own_notes: Path) -> None:
    body: dict[str, Any] = {"text": "A lighthouse keeper's diary.", "metadata": {"year": 1900}}
    created = writing.put("/api/documents/dir%2Fdiary", json=body, headers=WITH_TOKEN)
    assert (created.status_code, created.json()) == (201, {"id": "dir/diary", "created": True})
    assert writing.get("/api/documents/dir%2Fdiary").json() == {"id": "dir/diary", **body}
    hits = writing.get("/api/search", params={"q": "lighthouse", "k": 9}).json()["hits"]
    assert "dir/diary" in {hit["id"] for hit in hits}
    again = writing.put("/api/documents/dir%2Fdiary", json={"text": "Another text."}, headers=WITH_TOKEN)
    assert (again.status_code, again.json()["created"]) == (200, False)
    with Collection(own_notes, read_only=True) as collection:
        assert (collection.get("dir/diary").text, dict(collection.get("dir/diary").metadata)) == ("Another text.", {})
    removed = writing.delete("/api/documents/dir%2Fdiary", headers=WITH_TOKEN)
    assert (removed.status_code, removed.json()["id"]) == (200, "dir/diary")
    assert writing.delete("/api/documents/dir%2Fdiary", headers=WITH_TOKEN).status_code == 404


def test_a_number_stays_a_number(writing: TestClient) -> None:
    writing.put("/api/documents/12", json={"id": 12, "text": "A number."}, headers=WITH_TOKEN)
    assert writing.get("/api/documents/12").json()["id"] == 12
    writing.put("/api/documents/12", json={"text": "A text."}, headers=WITH_TOKEN)
    assert writing.get("/api/documents/12").json()["id"] == "12"
    assert writing.put("/api/documents/12", json={"id": 13, "text": "x"}, headers=WITH_TOKEN).status_code == 400


@pytest.mark.parametrize(
    "body", [{}, {"text": ""}, {"text": 1}, {"text": "a", "metadata": []}, {"text": "a", "extra": 1}]
)
def test_what_is_no_document_is_refused(writing: TestClient, body: dict[str, Any]) -> None:
    assert writing.put("/api/documents/x", json=body, headers=WITH_TOKEN).status_code == 400
    assert writing.get("/api/documents/x").status_code == 404


@pytest.mark.parametrize(
    ("error", "status"),
    [(IndexLockedError("another process is writing"), 503), (IndexWriteError("the disk is full"), 507)],
)
def test_a_write_that_fails_says_why_and_the_server_goes_on(
    writing: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Collection, "add", fail)
    answer = writing.put("/api/documents/x", json={"text": "a"}, headers=WITH_TOKEN)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == 503)
    assert answer.json()["error"]
    assert writing.get("/api/search", params={"q": "tree"}).status_code == 200
