"""Who may ask, what every answer carries, and what cannot be reached."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from latelite.serve import create_app
from latelite.serve.guard import Access, access
from served import HERE, TOKEN

PATHS = [
    "/",
    "/page/app.js",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/api/collections",
    "/api/search?q=tree",
    "/api/documents/7",
    "/nothing",
]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "192.168.1.5",
        "[::2]",
        "",
        "localhost@evil.example",
    ],
)
def test_another_name_is_refused(client: TestClient, host: str) -> None:
    for path in PATHS:
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 400, path
        assert "Host" in answer.json()["error"]


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8765", "LOCALHOST", "127.0.0.1:1", "[::1]:8765", "localhost."]
)
def test_names_of_this_machine_are_good(client: TestClient, host: str) -> None:
    assert client.get("/api/search?q=tree", headers={"host": host}).status_code == 200


def test_every_answer_forbids_what_a_page_could_do(client: TestClient) -> None:
    for path in PATHS:
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert not any(name.startswith("access-control-") for name in headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    ],
)
def test_pages_of_other_origins_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get("/api/search?q=tree", headers=headers).status_code == 403
    assert client.post("/api/search", json={"q": "tree"}, headers=headers).status_code == 403
    assert client.post("/v1/rerank", json={"query": "a", "documents": ["b"]}, headers=headers).status_code == 403


def test_the_page_itself_and_links_to_it_are_good(client: TestClient) -> None:
    own = {"origin": HERE, "sec-fetch-site": "same-origin"}
    assert client.post("/api/search", json={"q": "tree"}, headers=own).status_code == 200
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=followed).status_code == 200
    assert client.get("/api/search?q=tree", headers=followed).status_code == 403


def test_there_is_no_cors(client: TestClient) -> None:
    answer = client.options("/api/search", headers={"origin": HERE, "access-control-request-method": "POST"})
    assert answer.status_code == 405
    assert answer.json()["status"] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/%2e%2e/errors.py",
        "/page/....//app.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/index.html%00.js",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/..%2f..%2f/documents/7",
        "/page/",
        "/page",
    ],
)
def test_no_path_leads_out_of_the_page(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/"), ("POST", "/healthz"), ("PATCH", "/api/search")])
def test_other_methods_are_refused_as_json(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert answer.json()["status"] == 405


def test_elsewhere_every_request_needs_the_token(notes: Path) -> None:
    rules = access("0.0.0.0", token=TOKEN)
    with TestClient(create_app({"notes": notes}, access=rules), base_url="http://192.168.1.20:8765") as client:
        for path in PATHS:
            open_to_all = path in ("/", "/page/app.js", "/healthz")
            assert (client.get(path).status_code == 401) != open_to_all, path
        assert client.post("/v1/rerank", json={"query": "a", "documents": ["b"]}).status_code == 401
        client.headers["authorization"] = f"Bearer {TOKEN}"
        assert client.get("/api/search?q=tree").status_code == 200
        assert client.get("/api/search?q=tree", headers={"host": "evil.example"}).status_code == 400


def test_a_name_of_ones_own(notes: Path) -> None:
    rules = access("127.0.0.1", token=TOKEN, names=["Search.example"])
    client = TestClient(create_app({"notes": notes}, access=rules), base_url="http://search.example")
    assert client.get("/api/collections").status_code == 401  # a proxy may have brought the whole world
    assert client.get("/api/collections", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.20", "raspberrypi.local"])
def test_another_address_demands_a_token(host: str) -> None:
    with pytest.raises(ValueError, match="LATELITE_TOKEN"):
        access(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_the_loopback_demands_none(host: str) -> None:
    assert not access(host).every


def test_writing_demands_a_token(notes: Path) -> None:
    with pytest.raises(ValueError, match="token"):
        access(write=True)
    with pytest.raises(ValueError, match="token"):
        create_app({"notes": notes}, write=True, access=Access())


@pytest.mark.parametrize("token", ["short", "with a space", "Ümläut-token", "line\nbreak-token"])
def test_a_token_that_cannot_be_sent_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        access(token=token)
