"""How does the server do? Latency at a steady rate, many clients beside a writer, start, memory; and the MCP server.

    python benchmarks/serve.py --documents 5000

A server process (``latelite serve``) is asked over loopback by this process, on the same processors:

``steady``   questions at a fixed rate, sent when they are due whether or not the last one is answered (an open loop, so
             that a stall counts against every question that was due meanwhile); explained hits, as the page asks.
``library``  the same questions asked of `Collection.search` in a process of its own, at the same rate and without a
             pause: a processor that slept between two questions begins each with cold caches. In turns with the server,
             so that the figures can be compared.
``clients``  so many clients, each asking again as soon as it is answered, while another process adds a document every
             ``--write-every`` seconds. Beside it, what `Collection.search_batch` gives in a process of its own.
``mcp``      ``latelite mcp``: process start to the answer to ``initialize``, and to the first hit.

Times are in milliseconds, of whole requests: connect once, then send, search, receive.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import corpora
import numpy as np
import process
from connection import Connection, search_request
from search import percentiles

from latelite import Collection, models
from latelite.serve import pages

K = 10
MEASUREMENTS = ("mcp", "steady", "library", "clients")
_TURNS = 4
_EARLY = 0.002
"""Seconds before a question is due from which the client polls: its timer alone is a millisecond late."""
_WRITER = """
import sys, time
from latelite import Collection
with Collection(sys.argv[1]) as collection:
    number = 0
    print("ready", flush=True)
    while True:
        collection.add([f"added-{number}"], [f"Note {number}: " + sys.argv[3]], show_progress_bar=False)
        number += 1
        print(number, flush=True)
        time.sleep(float(sys.argv[2]))
"""
_BATCH = """
import json, sys, time
from latelite import Collection
queries = json.loads(sys.stdin.read())
with Collection(sys.argv[1], read_only=True) as collection:
    collection.search_batch(queries[:32], k=int(sys.argv[2]))
    start = time.perf_counter()
    done = 0
    while (seconds := time.perf_counter() - start) < float(sys.argv[3]):
        done += len(collection.search_batch(queries[:256], k=int(sys.argv[2])))
    print(done / (time.perf_counter() - start))
"""
_LIBRARY = """
import json, sys, time
from latelite import Collection
queries, rate, seconds, k = json.loads(sys.stdin.readline())
with Collection(sys.argv[1], read_only=True) as collection:
    for query in queries[:32]:
        collection.search(query, k=k)
    for line in sys.stdin:
        place, paced = json.loads(line)
        times, start = [], time.perf_counter()
        while (now := time.perf_counter()) < start + seconds:
            if paced:
                time.sleep(max(0.0, start + len(times) / rate - now))
            begin = time.perf_counter()
            collection.search(queries[(place + len(times)) % len(queries)], k=k)
            times.append(time.perf_counter() - begin)
        print(json.dumps(times), flush=True)
"""


class Server:
    """``latelite serve`` as a process."""

    def __init__(self, folder: Path) -> None:
        begin = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "latelite.cli", "serve", str(folder), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.port = int(line.partition("127.0.0.1:")[2].partition("/")[0])
        asyncio.run(self._until(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"))
        self.page_ms = (time.monotonic() - begin) * 1000
        asyncio.run(self._until(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"))
        self.ready_ms = (time.monotonic() - begin) * 1000

    async def _until(self, request: bytes) -> None:
        connection = await Connection.open(self.port)
        while (await connection.ask(request))[0] != 200:
            await asyncio.sleep(0.005)
        connection.close()

    def memory(self) -> dict[str, int] | None:
        """Of the server, in bytes by kind."""
        return process.memory(self._process.pid)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate(timeout=30)


async def steady(port: int, queries: Sequence[str], *, rate: float, seconds: float, explain: bool) -> dict[str, Any]:
    """Latency of questions that come at a fixed rate."""
    times, statuses = await _at_rate(port, queries, rate=rate, seconds=seconds, explain=explain)
    return {"rate": rate, "explain": explain, "statuses": dict(statuses), "times": percentiles(times)}


async def _at_rate(
    port: int, queries: Sequence[str], *, rate: float, seconds: float, explain: bool
) -> tuple[list[float], Counter[int]]:
    free: list[Connection] = [await Connection.open(port)]
    times: list[float] = []
    statuses: Counter[int] = Counter()

    async def one(query: str, due: float) -> None:
        connection = free.pop() if free else await Connection.open(port)
        status, _ = await connection.ask(search_request(query, K, explain=explain))
        times.append(time.perf_counter() - due)
        statuses[status] += 1
        free.append(connection)

    for query in queries[:16]:
        await one(query, time.perf_counter())
    times.clear()
    statuses.clear()
    start = time.perf_counter()
    tasks = []
    for number in range(int(rate * seconds)):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - _EARLY - time.perf_counter()))
        while time.perf_counter() < due:
            await asyncio.sleep(0)
        tasks.append(asyncio.create_task(one(queries[number % len(queries)], due)))
    await asyncio.gather(*tasks)
    for connection in free:
        connection.close()
    return times, statuses


def beside_the_library(
    server: Server, folder: Path, queries: Sequence[str], *, rate: float, seconds: float
) -> dict[str, Any]:
    """Latency of the server, of the library at the same rate, and of the library without a pause, in turns."""
    each = seconds / _TURNS
    asked = int(rate * each)
    found: dict[str, list[float]] = {"server": [], "paced": [], "back_to_back": []}
    with subprocess.Popen(
        [sys.executable, "-c", _LIBRARY, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as library:
        assert library.stdin is not None
        assert library.stdout is not None
        library.stdin.write(json.dumps([list(queries), rate, each, K]) + "\n")
        for turn in range(_TURNS):
            place = turn * asked % len(queries)
            turned = [*queries[place:], *queries[:place]]
            times, _ = asyncio.run(_at_rate(server.port, turned, rate=rate, seconds=each, explain=False))
            found["server"] += times
            for name in ("paced", "back_to_back"):
                library.stdin.write(json.dumps([place, name == "paced"]) + "\n")
                library.stdin.flush()
                found[name] += json.loads(library.stdout.readline())
        library.stdin.close()
    return {"rate": rate, "turns": _TURNS, **{name: percentiles(times) for name, times in found.items()}}


async def crowd(port: int, queries: Sequence[str], *, clients: int, seconds: float, explain: bool) -> dict[str, Any]:
    """Throughput and latency of clients that ask again as soon as they are answered."""
    times: list[float] = []
    statuses: Counter[int] = Counter()
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        connection = await Connection.open(port)
        place = number
        while (start := time.perf_counter()) < end:
            status, _ = await connection.ask(search_request(queries[place % len(queries)], K, explain=explain))
            times.append(time.perf_counter() - start)
            statuses[status] += 1
            place += clients
            if status == 503:
                await asyncio.sleep(0.1)
        connection.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    answered = statuses[200]
    return {
        "clients": clients,
        "explain": explain,
        "statuses": dict(statuses),
        "per_second": answered / seconds,
        "times": percentiles(times),
    }


def beside_a_writer(
    server: Server, folder: Path, queries: Sequence[str], *, clients: int, seconds: float, every: float
) -> dict[str, Any]:
    """`crowd` while another process adds documents."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(folder), str(every), queries[0]], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    figures = asyncio.run(crowd(server.port, queries, clients=clients, seconds=seconds, explain=False))
    writer.kill()
    rest, _ = writer.communicate()
    return figures | {"documents_written": int(rest.split()[-1]) if rest.split() else 0}


def assistant(folder: Path, query: str, starts: int) -> dict[str, float]:
    """Median times of ``latelite mcp`` from the start of its process."""
    runs = []
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
    call = {"name": "search", "arguments": {"query": query, "k": 5}}
    for _ in range(starts + 1):
        begin = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "latelite.cli", "mcp", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            marks = []
            for number, (method, parameters) in enumerate((("initialize", hello), ("tools/call", call))):
                line = {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
                server.stdin.write(json.dumps(line).encode() + b"\n")
                server.stdin.flush()
                answer = json.loads(server.stdout.readline())
                assert "result" in answer, answer
                marks.append((time.monotonic() - begin) * 1000)
            server.stdin.close()
        runs.append(marks)
    first, second = np.median(np.array(runs[1:]), axis=0).tolist()  # the first start may compile modules
    return {"initialize_ms": first, "first_hit_ms": second, "starts": starts}


def serving(folder: Path, queries: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """Figures of one server: start, steady rate, clients, memory after each."""
    server = Server(folder)
    found: dict[str, Any] = {"start": {"page_ms": server.page_ms, "ready_ms": server.ready_ms}}
    try:
        if "steady" in options.measure:
            found["steady"] = [
                asyncio.run(steady(server.port, queries, rate=options.rate, seconds=options.seconds, explain=explain))
                for explain in (False, True)
            ]
            found["memory"] = server.memory()
        if "library" in options.measure:
            found["library"] = beside_the_library(server, folder, queries, rate=options.rate, seconds=options.seconds)
        if "clients" in options.measure:
            found["clients"] = [
                beside_a_writer(
                    server, folder, queries, clients=clients, seconds=options.minute, every=options.write_every
                )
                for clients in options.clients
            ]
            found["memory_after"] = server.memory()
    finally:
        server.stop()
    return found


def batched(folder: Path, queries: Sequence[str]) -> float:
    """Queries a second of `Collection.search_batch` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _BATCH, str(folder), str(K), "10"],
        input=json.dumps(list(queries[:256])),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures and, with ``--json``, write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--corpus", default="docstrings", metavar="FOLDER", help="or docstrings")
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--collection", type=Path, help="keep the collection here, and use it when it is there")
    parser.add_argument("--measure", nargs="+", choices=MEASUREMENTS, default=MEASUREMENTS, help="default: all")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each steady rate")
    parser.add_argument("--minute", type=float, default=60.0, help="seconds of each number of clients")
    parser.add_argument("--rate", type=float, default=20.0, help="questions a second")
    parser.add_argument("--clients", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--write-every", type=float, default=1.0, help="seconds between two documents")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--prepare", action="store_true", help="make the collection, measure nothing")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)

    corpus = corpora.by_name(options.corpus).part(options.documents)
    queries = corpus.queries
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.collection or Path(scratch) / "benchmark.lt"
        if not folder.exists():
            with Collection(folder, options.bundle) as collection:
                texts = list(corpus.documents.values())
                metadata = [{"module": id.partition(".")[0]} for id in corpus.documents]
                collection.add(list(corpus.documents), texts, metadata)
                collection.compact()
        if options.prepare:
            return 0
        manifest = models.ColBERT(options.bundle).manifest
        report: dict[str, Any] = {
            "bundle": {"id": manifest.checkpoint["id"], "fingerprint": manifest.fingerprint},
            "corpus": corpus.name,
            "documents": len(corpus.documents),
            "k": K,
            "page_bytes": sum(len(file.content) for file in pages.read_page().values()),
        }
        if "mcp" in options.measure:
            report["mcp"] = assistant(folder, queries[0], options.starts)
        if {"steady", "library", "clients"} & set(options.measure):
            report |= serving(folder, queries, options)
        if "clients" in options.measure:
            report["search_batch_per_second"] = batched(folder, queries)
    print(json.dumps(report, indent=1))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
