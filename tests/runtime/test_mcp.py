"""``latelite mcp``: the protocol in both generations, and its tools."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from latelite import Collection, mcp
from latelite.mcp.stdio import LONGEST_LINE
from latelite.models import ColBERT
from served import fill

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory, model: ColBERT) -> Path:
    """A collection that tests only read."""
    folder = tmp_path_factory.mktemp("assistant") / "notes.lt"
    with Collection(folder, model) as collection:
        fill(collection)
    return folder


def exchange(folder: Path, *messages: Any) -> list[Any]:
    """The answers to messages; strings and bytes are sent unchanged."""
    lines = []
    for each in messages:
        line = each if isinstance(each, bytes) else json.dumps(each).encode()
        lines.append(line + b"\n")
    writing = io.BytesIO()
    mcp.serve(folder, io.BytesIO(b"".join(lines)), writing)
    return [json.loads(line) for line in writing.getvalue().splitlines()]


def request(method: str, parameters: Any = None, id: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, **({} if parameters is None else {"params": parameters})}


def call(folder: Path, name: str, **arguments: Any) -> dict[str, Any]:
    (answer,) = exchange(folder, request("tools/call", {"name": name, "arguments": arguments}))
    result: dict[str, Any] = answer["result"]
    return result


@pytest.mark.parametrize(
    ("asked", "given"),
    [("2024-11-05", "2024-11-05"), ("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25"), ("1999", "2025-11-25")],
)
def test_the_handshake_settles_on_a_version(notes: Path, asked: str, given: str) -> None:
    parameters = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    answers = exchange(
        notes,
        request("initialize", parameters),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        request("ping", id="p"),
        request("tools/list", id=3),
    )
    assert [answer["id"] for answer in answers] == [1, "p", 3]
    result = answers[0]["result"]
    assert result["protocolVersion"] == given
    assert result["capabilities"] == {"tools": {}}
    assert result["serverInfo"]["name"] == "latelite"
    assert [tool["name"] for tool in answers[2]["result"]["tools"]] == ["search", "get", "list_sources"]
    assert "resultType" not in answers[2]["result"]


def test_the_stateless_generation_needs_no_handshake(notes: Path) -> None:
    answers = exchange(
        notes,
        request("server/discover", {"_meta": MODERN}),
        request("tools/list", {"_meta": MODERN}, id=2),
        request("tools/call", {"_meta": MODERN, "name": "search", "arguments": {"query": "tree", "k": 1}}, id=3),
    )
    discovered, listed, found = (answer["result"] for answer in answers)
    assert "2026-07-28" in discovered["supportedVersions"]
    assert discovered["ttlMs"] >= 0
    assert discovered["cacheScope"] == "private"
    assert len(listed["tools"]) == 3
    for result in (discovered, listed, found):
        assert result["resultType"] == "complete"
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "latelite"
    assert len(found["structuredContent"]["hits"]) == 1


@pytest.mark.parametrize("method", ["ping", "logging/setLevel", "resources/list"])
def test_methods_that_the_stateless_generation_lacks(notes: Path, method: str) -> None:
    (answer,) = exchange(notes, request(method, {"_meta": MODERN}))
    assert answer["error"]["code"] == -32601


def test_an_unknown_version_is_told_the_known_ones(notes: Path) -> None:
    meta = {**MODERN, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    (answer,) = exchange(notes, request("server/discover", {"_meta": meta}))
    assert answer["error"]["code"] == -32022
    assert answer["error"]["data"]["requested"] == "2099-01-01"
    assert "2026-07-28" in answer["error"]["data"]["supported"]


def test_capabilities_are_required(notes: Path) -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    (answer,) = exchange(notes, request("tools/list", {"_meta": meta}))
    assert answer["error"]["code"] == -32602


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"17", -32600),
        (b'{"id": 1, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 2}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "nothing"}', -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "rm"}}', -32602),
        (b" " * (LONGEST_LINE + 10) + b"{}", -32600),
    ],
)
def test_broken_messages_are_answered_and_the_next_one_too(notes: Path, line: bytes, code: int) -> None:
    answers = exchange(notes, line, b"", request("ping", id="after"))
    errors = [answer for answer in answers if "error" in answer]
    assert [answer["error"]["code"] for answer in errors] == [code]
    assert [answer["id"] for answer in answers if "result" in answer] == ["after"]


def test_notifications_and_answers_are_not_answered(notes: Path) -> None:
    assert (
        exchange(
            notes,
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
            {"jsonrpc": "2.0", "method": "nothing"},
            {"jsonrpc": "2.0", "id": 4, "result": {}},
        )
        == []
    )


def test_a_batch_is_answered_as_one(notes: Path) -> None:
    (answers,) = exchange(
        notes, [request("ping", id=1), {"jsonrpc": "2.0", "method": "x"}, request("tools/list", id=2)]
    )
    assert [answer["id"] for answer in answers] == [1, 2]


def test_search_is_that_of_the_collection(notes: Path) -> None:
    with Collection(notes, read_only=True) as collection:
        expected = [hit.id for hit in collection.search("a directory", k=2, where={"lang": "en"}, mode="lexical")]
    result = call(notes, "search", query="a directory", k=2, where={"lang": "en"}, mode="lexical")
    assert result["isError"] is False
    assert [hit["id"] for hit in result["structuredContent"]["hits"]] == expected
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]


def test_long_texts_are_cut_in_search_and_read_on_by_get(tmp_path: Path, model: ColBERT) -> None:
    text = "lighthouse " * 5_000
    own_notes = tmp_path / "notes.lt"
    with Collection(own_notes, model) as collection:
        collection.add(["long"], [text], show_progress_bar=False)
    hit = call(own_notes, "search", query="lighthouse", k=1)["structuredContent"]["hits"][0]
    assert (hit["id"], hit["cut"], len(hit["text"])) == ("long", True, 2_000)
    read = ""
    while len(read) < len(text):
        part = call(own_notes, "get", id="long", start=len(read))["structuredContent"]
        assert part["length"] == len(text)
        read += part["text"]
    assert read == text


def test_an_id_may_lose_its_type(notes: Path) -> None:
    assert call(notes, "get", id="7")["structuredContent"]["id"] == 7
    assert call(notes, "get", id=7)["structuredContent"]["id"] == 7


def test_sources_are_listed(tmp_path: Path, model: ColBERT) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "one.md").write_text("The night train leaves at seven.\n")
    (folder / "two.txt").write_text("Rye bread needs a hot oven.\n")
    with Collection(tmp_path / "notes.lt", model) as collection:
        collection.add_files(folder)
        collection.add(["loose"], ["Not from a file."], show_progress_bar=False)
        paths = {str(document.metadata.get("path")) for document in collection.documents()}
    before = datetime.now().astimezone()
    result = call(tmp_path / "notes.lt", "list_sources")["structuredContent"]
    assert result["documents"] == 3
    (source,) = result["sources"]
    assert (source["location"], source["kind"], source["files"], source["passages"]) == (str(folder), "folder", 2, 2)
    assert {f"{source['label']}/one.md", f"{source['label']}/two.txt"} < paths
    assert before - timedelta(minutes=5) < datetime.fromisoformat(source["last_run"]) <= before


def test_a_collection_without_files_has_no_sources(notes: Path) -> None:
    assert call(notes, "list_sources")["structuredContent"] == {"documents": 8, "sources": []}


@pytest.mark.parametrize(
    ("name", "arguments", "part"),
    [
        ("search", {}, "query is missing"),
        ("search", {"query": " "}, "query must have"),
        ("search", {"query": "a", "k": 0}, "k must be between"),
        ("search", {"query": "a", "k": True}, "k must be an integer"),
        ("search", {"query": "a", "mode": "fuzzy"}, "mode must be one of"),
        ("search", {"query": "a", "where": {"x": {"$near": 1}}}, "$near"),
        ("search", {"query": "a", "limit": 3}, "'limit'"),
        ("get", {"id": "nothing"}, "nothing"),
        ("get", {"id": [1]}, "id must be"),
        ("get", {"id": "7", "start": -1}, "start must be"),
    ],
)
def test_wrong_arguments_are_told_to_the_assistant(
    notes: Path, name: str, arguments: dict[str, Any], part: str
) -> None:
    result = call(notes, name, **arguments)
    assert result["isError"] is True
    assert part in result["content"][0]["text"]


def test_initialize_is_answered_before_anything_heavy_is_imported(notes: Path) -> None:
    script = (
        "import io, json, sys, threading\n"
        "from pathlib import Path\n"
        "from latelite import mcp\n"
        "class Out(io.BytesIO):\n"
        "    def write(self, line):\n"
        "        print(json.loads(line)['id'], sorted({'numpy', 'onnxruntime', 'tokenizers'} & set(sys.modules)))\n"
        'message = b\'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}\\n\'\n'
        "mcp.serve(Path(sys.argv[1]), io.BytesIO(message), Out())\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(notes)], capture_output=True, text=True, check=True)
    assert done.stdout == "1 []\n"


def test_the_command_keeps_standard_output_to_messages(notes: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "latelite.cli", "mcp", str(notes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for message in (
        request("initialize", {}),
        request("tools/call", {"name": "search", "arguments": {"query": "a"}}, 2),
    ):
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
    first, second = process.stdout.readline(), process.stdout.readline()
    process.stdin.close()
    assert process.wait(20) == 0
    assert json.loads(first)["id"] == 1
    assert json.loads(second)["result"]["structuredContent"]["hits"]
    assert process.stdout.read() == b""
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()


def test_a_folder_without_a_collection_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "latelite.cli", "mcp", str(tmp_path)], capture_output=True, text=True, input=""
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(tmp_path) in done.stderr


SDK = """
import asyncio, json, sys
import mcp
from mcp.client.stdio import StdioServerParameters, stdio_client

async def main():
    parameters = StdioServerParameters(command=sys.argv[1], args=["-m", "latelite.cli", "mcp", sys.argv[2]])
    told = {}
    for mode in ("legacy", "auto", "2026-07-28"):
        async with mcp.Client(stdio_client(parameters), mode=mode) as client:
            tools = await client.list_tools()
            found = await client.call_tool("search", {"query": "directory tree", "k": 2})
            wrong = await client.call_tool("search", {"query": "a", "mode": "fuzzy"})
            told[mode] = [
                client.protocol_version,
                [tool.name for tool in tools.tools],
                len(found.structured_content["hits"]),
                wrong.is_error,
            ]
    print(json.dumps(told))

asyncio.run(main())
"""


def test_the_protocols_own_client_gets_answers_in_both_generations(notes: Path) -> None:
    python = Path(__file__).parent.parent.parent / ".venv-peers" / "mcp" / "bin" / "python"
    if not python.exists():
        pytest.skip("no MCP SDK: make peers PEERS=mcp")
    done = subprocess.run(
        [str(python), "-c", SDK, sys.executable, str(notes)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    names = ["search", "get", "list_sources"]
    assert json.loads(done.stdout) == {
        "legacy": ["2025-11-25", names, 2, True],
        "auto": ["2026-07-28", names, 2, True],
        "2026-07-28": ["2026-07-28", names, 2, True],
    }


def test_a_call_does_not_hold_up_a_ping(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Collection.search

    def slow(self: Collection, *arguments: Any, **options: Any) -> Any:
        time.sleep(0.5)
        return plain(self, *arguments, **options)

    monkeypatch.setattr(Collection, "search", slow)
    answers = exchange(
        notes, request("tools/call", {"name": "search", "arguments": {"query": "a"}}, id=1), request("ping", id=2)
    )
    assert [answer["id"] for answer in answers] == [2, 1]
