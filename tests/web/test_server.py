"""``latelite serve`` as a process: what it prints, what it refuses, and what it survives."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from latelite.models import ColBERT
from served import TOKEN, serving

POST = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def address(notes: Path) -> Iterator[str]:
    with serving(notes) as address:
        yield address


def exchange(address: str, *parts: bytes, pause: float = 0.0, seconds: float = 20.0) -> bytes:
    """All that comes back for raw bytes, until the server closes the connection or is silent for some time."""
    target = urlsplit(address)
    assert target.hostname
    with closing(socket.create_connection((target.hostname, target.port or 80), timeout=seconds)) as connection:
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            while part := connection.recv(65536):
                answer += part
        except (TimeoutError, ConnectionError):
            pass
        return answer


def body_of(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/json" in head, answer[:300]
    parsed: dict[str, object] = json.loads(body)
    return parsed


def refused(*arguments: str | Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "latelite.cli", "serve", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("latelite: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_it_listens_on_the_loopback_only(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")
    assert httpx.get(f"{address}/").status_code == 200


def test_what_cannot_be_served_is_named(notes: Path, tmp_path: Path, address: str) -> None:
    assert "is not a collection" in refused(tmp_path)
    assert "LATELITE_TOKEN" in refused(notes, "--host", "0.0.0.0")
    assert "--write needs a token" in refused(notes, "--write")
    assert "two collections" in refused(notes, notes)
    assert "another name" in refused(f"search={notes}")
    assert "cannot listen" in refused(notes, "--port", address.rpartition(":")[2])


def test_a_damaged_collection_ends_the_server_with_a_sentence(own_notes: Path) -> None:
    (own_notes / "collection.json").write_text('{"format": "latelite-collection"}')
    assert "collection.json" in refused(own_notes, "--port", "0")


def test_two_collections_and_a_name_of_ones_own(notes: Path, own_notes: Path) -> None:
    with serving(notes, f"mine={own_notes}") as address:
        listed = httpx.get(f"{address}/api/collections").json()["collections"]
        assert [each["name"] for each in listed] == ["notes", "mine"]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"POST /api/search HTTP/1.1\r\nhost: localhost\r\ncontent-length: -5\r\n\r\n",
        b"POST /api/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_gets_an_error_in_json(address: str, raw: bytes) -> None:
    answer = exchange(address, raw, seconds=5)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert body_of(answer)["error"]
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_clients_that_dawdle_are_sent_away(notes: Path, model: ColBERT, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom latelite.serve import Limits, run\n"
        "from latelite.serve.guard import access\n"
        "run({'notes': Path(sys.argv[1])}, access=access(), port=0, limits=Limits(seconds=2.0, connections=20),\n"
        "    on_listening=lambda host, port: print(port, flush=True))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(notes)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        slow_head = exchange(address, b"GET / HT", seconds=15)
        assert slow_head.startswith(b"HTTP/1.1 408")
        silent = exchange(address, seconds=15)
        assert silent == b""  # opened in advance: an answer would be taken for that to the first request
        slow_body = exchange(address, POST % (b"/api/search", 50), b'{"q":', seconds=15)
        assert slow_body.startswith(b"HTTP/1.1 408")
        assert "2 seconds" in str(body_of(slow_body)["error"])

        # A client that rests between two requests does not dawdle.
        twice = exchange(address, *[b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"] * 2, pause=4, seconds=1)
        assert twice.count(b"HTTP/1.1 200") == 2
        assert b"HTTP/1.1 408" not in twice
        target = urlsplit(address)
        held = [socket.create_connection((target.hostname or "", target.port or 0), timeout=5) for _ in range(25)]
        answers = []
        for connection in held[20:]:
            try:
                answers.append(connection.recv(1000))
            except ConnectionError:
                answers.append(b"HTTP/1.1 503 reset")
        assert all(answer.startswith(b"HTTP/1.1 503") for answer in answers)
        for connection in held:
            connection.close()
        time.sleep(0.2)
        assert httpx.get(f"{address}/").status_code == 200
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_a_client_that_leaves_early_costs_nothing(address: str) -> None:
    target = urlsplit(address)
    for _ in range(50):
        with closing(socket.create_connection((target.hostname or "", target.port or 0))) as connection:
            connection.sendall(b"GET /api/search?q=tree HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert httpx.get(f"{address}/api/search", params={"q": "tree"}).status_code == 200


def test_ten_thousand_hostile_requests_leave_it_serving(address: str) -> None:
    """Made by mutation of good ones from a fixed seed, over kept and dropped connections."""
    good = [
        b"GET /api/search?q=tree&k=5&where=%7B%22a%22%3A1%7D HTTP/1.1\r\nhost: localhost\r\n\r\n",
        POST % (b"/api/search", 12) + b'{"q":"tree"}',
        b"GET /api/documents/..%2F..%2Fetc%2Fpasswd HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"DELETE /api/documents/7 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        POST % (b"/rerank", 31) + b'{"query":"a","texts":["b","c"]}',
    ]
    total = 10_000

    def attack(seed: int, count: int) -> None:
        chance = random.Random(seed)
        target = urlsplit(address)
        for _ in range(count):
            raw = bytearray(chance.choice(good))
            for _ in range(chance.randrange(1, 8)):
                place = chance.randrange(len(raw))
                match chance.randrange(4):
                    case 0:
                        raw[place] = chance.randrange(256)
                    case 1:
                        del raw[place : place + chance.randrange(1, 20)]
                    case 2:
                        raw[place:place] = chance.randbytes(chance.randrange(1, 30))
                    case _:
                        raw[place:place] = chance.choice(
                            [b"\r\n", b"%00", b"../", b"[" * 50, b"\xf0\x9f\x9a\x9a", b'"']
                        )
                if not raw:
                    raw = bytearray(b"\r\n")
            try:
                with closing(socket.create_connection((target.hostname or "", target.port or 0), timeout=30)) as each:
                    each.sendall(raw)
                    each.shutdown(socket.SHUT_WR)
                    answer = each.recv(4096)
                assert not answer.startswith(b"HTTP/1.1 500"), bytes(raw)
                assert b"root:" not in answer
            except (ConnectionError, TimeoutError):
                pass

    failures: list[BaseException] = []

    def run(seed: int) -> None:
        try:
            attack(seed, total // 4)
        except BaseException as error:  # noqa: BLE001  (raised below, on the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    answer = httpx.get(f"{address}/api/search", params={"q": "directory tree"})
    assert answer.status_code == 200
    assert answer.json()["hits"]
    counts = httpx.get(f"{address}/metrics").text
    assert 'latelite_queue_requests{queue="search"} 0' in counts


Peer = Callable[[str], str]


def test_schemathesis_finds_nothing(own_notes: Path, peer: Peer, tmp_path: Path) -> None:
    """Requests made from the description, good and bad, against a server that may write."""
    python = Path(peer("schemathesis"))
    with serving(own_notes, "--write", environment={"LATELITE_TOKEN": TOKEN}) as address:
        done = subprocess.run(
            [
                str(python.with_name("schemathesis")), "run", f"{address}/openapi.json",
                "--header", f"Authorization: Bearer {TOKEN}",
                "--checks", "all", "--max-examples", "15", "--seed", "1", "--workers", "1",
                "--exclude-checks", "positive_data_acceptance",
                "--request-timeout", "120", "--max-response-time", "110",
                "--no-color",
            ],
            capture_output=True,
            text=True,
            timeout=500,
            cwd=tmp_path,
        )  # fmt: skip
        assert httpx.get(f"{address}/healthz").status_code == 200
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
