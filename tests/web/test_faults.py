"""What a server survives: writers beside it and their death, its own, a full disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path

import httpx
import pytest

from conftest import small_file_system
from latelite import Collection
from latelite.models import ColBERT
from served import DOCUMENTS, TOKEN, fill, serving

WRITER = """
import sys
from latelite import Collection
with Collection(sys.argv[1]) as collection:
    for number in range(100_000):
        collection.add([f"new-{number}"], [f"Lighthouse number {number} shines."], show_progress_bar=False)
        print(number, flush=True)
"""


def test_searches_go_on_beside_a_writer_and_after_its_death(own_notes: Path) -> None:
    with serving(own_notes) as address, httpx.Client(base_url=address) as client:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(own_notes)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        seen = 0
        while seen < 5:
            seen = int(writer.stdout.readline())
            assert client.get("/api/search", params={"q": "lighthouse"}).status_code == 200
        found = client.get("/api/search", params={"q": "lighthouse number 3", "k": 50, "mode": "lexical"}).json()
        assert "new-3" in {hit["id"] for hit in found["hits"]}  # a search sees what was written before it
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert client.get("/api/search", params={"q": "lighthouse"}).status_code == 200
        assert client.get("/api/documents/new-3").status_code == 200


def test_sixty_four_clients_beside_a_writer_all_get_answers(own_notes: Path) -> None:
    """No error and nobody refused; `benchmarks/serve.py` does the same for a minute and measures."""
    each, clients = 5, 64
    with serving(own_notes) as address:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(own_notes)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        writer.stdout.readline()

        def ask(number: int) -> list[int]:
            with httpx.Client(base_url=address, timeout=60) as client:
                questions = [f"lighthouse {number} {turn}" for turn in range(each)]
                return [client.get("/api/search", params={"q": one, "k": 3}).status_code for one in questions]

        with ThreadPoolExecutor(clients) as threads:
            statuses = Counter(status for found in threads.map(ask, range(clients)) for status in found)
        assert writer.poll() is None  # it wrote until the end
        writer.kill()
        written = [int(line) for line in writer.communicate()[0].split()]
        assert statuses == {200: each * clients}
        assert written
        found = httpx.get(f"{address}/api/search", params={"q": "lighthouse", "mode": "lexical", "k": 1}).json()
        assert found["hits"]


def test_a_killed_server_loses_nothing(own_notes: Path) -> None:
    environment = {**os.environ, "LATELITE_TOKEN": TOKEN}
    process = subprocess.Popen(
        [sys.executable, "-m", "latelite.cli", "serve", str(own_notes), "--write", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    address = process.stdout.readline().partition("at ")[2].partition("  ")[0].rstrip("/")
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        for number in range(5):
            assert client.put(f"/api/documents/kept-{number}", json={"text": "Kept."}).status_code == 201
    process.kill()
    process.communicate()
    with Collection(own_notes) as collection:
        assert all(f"kept-{number}" in collection for number in range(5))
        collection.verify()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 64 MiB."""
    with small_file_system(tmp_path / "disk", "64m") as folder:
        yield folder


def test_a_full_disk_loses_nothing_and_is_got_over(small_disk: Path, model: ColBERT) -> None:
    folder = small_disk / "notes.lt"
    with Collection(folder, model) as collection:
        fill(collection)
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        left = shutil.disk_usage(small_disk).free - 300_000
        file.write(bytes(left))
    text = "lighthouse " * 500
    headers = {"authorization": f"Bearer {TOKEN}"}
    with (
        serving(folder, "--write", environment={"LATELITE_TOKEN": TOKEN}) as address,
        httpx.Client(base_url=address, headers=headers, timeout=60) as client,
    ):
        stored = 0
        while (answer := client.put(f"/api/documents/new-{stored}", json={"text": text})).status_code == 201:
            stored += 1
            assert stored < 1000
        assert answer.status_code == 507, answer.text
        assert "full" in answer.json()["error"]
        assert client.get(f"/api/documents/new-{stored}").status_code == 404
        hits = client.get("/api/search", params={"q": "lighthouse", "k": 100}).json()["hits"]
        assert {f"new-{number}" for number in range(stored)} <= {hit["id"] for hit in hits}
        filler.unlink()
        assert client.put(f"/api/documents/new-{stored}", json={"text": text}).status_code == 201
    with Collection(folder) as collection:
        collection.verify()
        assert len(collection) == len(DOCUMENTS) + stored + 1


def test_questions_of_ten_megabytes_are_not_even_kept(notes: Path) -> None:
    """The answer may be lost when the connection is closed on what is still being sent; memory must not grow."""
    long = "a" * 10_000_000

    def resident(client: httpx.Client) -> float:
        (line,) = (each for each in client.get("/metrics").text.splitlines() if each.startswith("process_resident"))
        return float(line.split()[1])

    with serving(notes) as address, httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/api/search", params={"q": "tree"}).status_code == 200
        before = resident(client)
        for _ in range(5):
            for method, path, body in (("GET", f"/api/search?q={long}", None), ("POST", "/api/search", f'"{long}"')):
                with (
                    closing(HTTPConnection(address.removeprefix("http://"), timeout=60)) as connection,
                    contextlib.suppress(ConnectionError, RemoteDisconnected),
                ):
                    connection.request(method, path, body, {"content-type": "application/json"})
                    assert connection.getresponse().status in (400, 413)
        assert resident(client) - before < 20_000_000
        assert client.get("/api/search", params={"q": "tree"}).status_code == 200
