"""``latelite export`` and ``latelite import``: what the commands write, refuse, and hold in memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import Run
from latelite import Collection
from latelite.models import ColBERT

from .conftest import BUNDLE

GROWTH = 0.6
"""Bytes of memory that a hand-over of many vectors may take more than one of few, per byte of vectors more."""


@pytest.fixture
def notes(tmp_path: Path, encoder: ColBERT) -> Path:
    with Collection(tmp_path / "notes.lt", encoder) as collection:
        collection.add(
            ["bread", 7, "7"],
            ["Rye bread needs a hot oven.", "The night train leaves at seven.", "Seven tax returns."],
            [{"topic": "food"}, {"n": 1}, {"n": None}],
        )
    return tmp_path / "notes.lt"


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("collection_first", [True, False])
def test_parquet_there_and_back(run: Run, notes: Path, tmp_path: Path, dtype: str, collection_first: bool) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: make test-integrations")
    file, back = tmp_path / "notes.parquet", tmp_path / "back.lt"
    status, out, _ = run("export", notes, "--to", "parquet", file, "--dtype", dtype, "--json")
    assert (status, json.loads(out)) == (0, {"out": str(file), "documents": 3, "dtype": dtype})
    given = (back, file) if collection_first else (file, back)
    for added in (3, 0):  # again: nothing twice
        status, out, error = run("import", *given, "--model", BUNDLE, "--json")
        report = json.loads(out)
        assert (status, report["imported"], report["added"], report["documents"]) == (0, 3, added, 3), error
    with Collection(back, read_only=True) as made, Collection(notes, read_only=True) as original:
        assert list(made) == list(original)
        assert made.search("Brot backen", k=1)[0].id == "bread"


def test_import_refuses_what_it_cannot_read_and_makes_no_folder(
    run: Run, notes: Path, tmp_path: Path, bundle: Callable[[str], Path]
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: make test-integrations")
    file = tmp_path / "notes.parquet"
    assert run("export", notes, "--to", "parquet", file)[0] == 0
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(file.read_bytes()[:-100])
    for source, model, said in (
        (tmp_path / "none.parquet", BUNDLE, "does not exist"),
        (cut, BUNDLE, "no Parquet file, or damaged"),
        (file, bundle("bert-pylate"), "not the given"),
    ):
        status, _, error = run("import", source, tmp_path / "new.lt", "--model", model)
        assert (status, error.count("\n")) == (1, 1)
        assert said in error
        assert not (tmp_path / "new.lt").exists()


def test_vespas_ids_are_as_different_as_the_documents(run: Run, notes: Path, tmp_path: Path) -> None:
    status, out, _ = run("export", notes, "--to", "vespa-json", tmp_path / "feed.jsonl", "--json")
    assert (status, json.loads(out)["documents"]) == (0, 3)
    lines = [json.loads(line) for line in (tmp_path / "feed.jsonl").read_text().splitlines()]
    assert [line["put"].split("::")[1] for line in lines] == ["bread", "7", "%227%22"]
    assert [json.loads(line["fields"]["id"]) for line in lines] == ["bread", 7, "7"]
    status, _, error = run("export", notes, "--to", "vespa-json", tmp_path / "no.jsonl", "--dtype", "int8")
    assert status == 1
    assert "--dtype" in error
    assert not (tmp_path / "no.jsonl").exists()


@pytest.mark.parametrize(
    ("target", "package"),
    [("parquet", "pyarrow"), ("vespa-json", "json"), ("lance", "lancedb"), ("qdrant", "qdrant_edge")],
)
def test_what_is_there_is_replaced_only_when_asked(
    run: Run, notes: Path, tmp_path: Path, encoder: ColBERT, target: str, package: str
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed: make test-integrations")
    out = tmp_path / "out"

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in [out, *out.rglob("*")] if path.is_file()}

    assert run("export", notes, "--to", target, out)[0] == 0
    first = content()
    with Collection(notes, encoder) as collection:
        collection.add(["new"], ["A fourth note."])
    status, _, error = run("export", notes, "--to", target, out)
    assert (status, error.count("\n")) == (1, 1)
    assert "--override" in error
    assert content() == first
    status, text, _ = run("export", notes, "--to", target, out, "--override", "--json")
    assert (status, json.loads(text)["documents"]) == (0, 4)
    assert content() != first
    if target == "lance":
        import lancedb

        assert lancedb.connect(str(out)).open_table("documents").count_rows() == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.lt", "out"]


@pytest.mark.parametrize("target", ["parquet", "vespa-json", "qdrant"])
def test_override_replaces_no_folder_of_another_kind(run: Run, notes: Path, tmp_path: Path, target: str) -> None:
    package = {"parquet": "pyarrow", "vespa-json": "json", "qdrant": "qdrant_edge"}[target]
    pytest.importorskip(package, reason=f"{package} is not installed: make test-integrations")
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "a.txt").write_text("Dear Ann")
    status, _, error = run("export", notes, "--to", target, letters, "--override")
    assert (status, error.count("\n")) == (1, 1)
    assert "letters" in error
    assert (letters / "a.txt").read_text() == "Dear Ann"


@pytest.mark.parametrize(
    ("target", "package"),
    [("parquet", "pyarrow"), ("vespa-json", "json"), ("lance", "lancedb"), ("qdrant", "qdrant_edge")],
)
def test_nothing_is_written_into_a_collection_nor_into_nowhere(
    run: Run, notes: Path, tmp_path: Path, target: str, package: str
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed: make test-integrations")
    before = sorted(notes.rglob("*"))
    for out in (notes, notes / "out", notes / "segments" / "out"):
        status, _, error = run("export", notes, "--to", target, out, "--override")
        assert (status, error.count("\n")) == (1, 1)
        assert "notes.lt is a collection" in error
    assert sorted(notes.rglob("*")) == before
    if target in ("parquet", "vespa-json"):
        status, _, error = run("export", notes, "--to", target, tmp_path / "none" / "out")
        assert (status, error.count("\n")) == (1, 1)
        assert f"the folder {tmp_path / 'none'} does not exist" in error


def test_lancedb_and_qdrant_edge_get_all_documents(run: Run, notes: Path, tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb", reason="lancedb is not installed: make test-integrations")
    edge = pytest.importorskip("qdrant_edge", reason="qdrant-edge-py is not installed: make test-integrations")
    for target in ("lance", "qdrant"):
        status, out, error = run("export", notes, "--to", target, tmp_path / target, "--dtype", "float16", "--json")
        assert (status, json.loads(out)["documents"]) == (0, 3), error
        status, _, error = run("export", notes, "--to", target, tmp_path / "int8", "--dtype", "int8")
        assert (status, error.count("\n")) == (1, 1)
        assert "int8" in error
    assert lancedb.connect(str(tmp_path / "lance")).open_table("documents").count_rows() == 3
    shard = edge.EdgeShard.load(str(tmp_path / "qdrant"))
    assert shard.count(edge.CountRequest(exact=True)) == 3
    shard.close()
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("target", "package"),
    [("parquet", "pyarrow"), ("vespa-json", "json"), ("lance", "lancedb"), ("qdrant", "qdrant_edge")],
)
def test_a_lone_surrogate_is_named_and_what_was_there_stays(
    run: Run, notes: Path, tmp_path: Path, encoder: ColBERT, target: str, package: str
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed: make test-integrations")
    out, before = tmp_path / "out", tmp_path / "before"
    assert run("export", notes, "--to", target, before)[0] == 0
    with Collection(notes, encoder) as collection:
        collection.add(["broken"], ["half a \ud83d pair"])
    for goal, options in ((out, []), (before, ["--override"])):
        status, _, error = run("export", notes, "--to", target, goal, *options)
        assert (status, error.count("\n")) == (1, 1), error
        assert "'broken'" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before", "notes.lt"]
    if target == "lance":
        import lancedb

        assert lancedb.connect(str(before)).open_table("documents").count_rows() == 3


@pytest.fixture(scope="module")
def notes_of(tmp_path_factory: pytest.TempPathFactory, encoder: ColBERT) -> Callable[[int], Path]:
    """Number of documents -> a collection of so many, of 100 tokens each."""
    root = tmp_path_factory.mktemp("sizes")
    rows = np.random.default_rng(0).standard_normal((100, encoder.dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def made(documents: int) -> Path:
        folder = root / f"{documents}.lt"
        if not folder.exists():
            with Collection(folder, encoder, index="Exact") as collection:
                for first in range(0, documents, 200):
                    collection.add_vectors(list(range(first, first + 200)), ["bread"] * 200, [rows] * 200)
        return folder

    return made


def peaks(*arguments: object) -> dict[str, int]:
    """Bytes that a command of latelite had in memory at most: all, and without the pages of files that it maps."""
    command = [sys.executable, "-c", "import sys; from latelite import cli; sys.exit(cli.main(sys.argv[1:]))"]
    process = subprocess.Popen([*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    found = {"VmHWM": 0, "RssAnon": 0}
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        for line in status.read_text().splitlines():
            name, _, value = line.partition(":")
            if name in found:
                found[name] = max(found[name], int(value.split()[0]) * 1024)
        time.sleep(0.005)
    _, error = process.communicate()
    assert process.returncode == 0, error.decode()
    return {"all": found["VmHWM"], "private": found["RssAnon"]}


def check_growth(few: int, many: int, documents: int, dim: int) -> None:
    """``documents`` more, of 100 tokens of ``dim`` float32 each, took ``GROWTH`` of their bytes at most."""
    assert many - few < GROWTH * documents * 100 * dim * 4


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from Linux's /proc")


@needs_proc
@pytest.mark.parametrize(
    ("target", "package", "memory", "documents"),
    [
        ("parquet", "pyarrow", "all", 4000),
        ("lance", "lancedb", "all", 4000),
        ("qdrant", "qdrant_edge", "private", 4000),  # it maps what it writes
        ("vespa-json", "json", "private", 600),
    ],
)
def test_memory_does_not_grow_with_the_collection(
    notes_of: Callable[[int], Path],
    encoder: ColBERT,
    tmp_path: Path,
    target: str,
    package: str,
    memory: str,
    documents: int,
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed: make test-integrations")
    few, many = (
        peaks("export", notes_of(count), "--to", target, tmp_path / f"{count}.out")[memory]
        for count in (200, documents)
    )
    check_growth(few, many, documents - 200, encoder.dim)


@needs_proc
def test_memory_of_an_import_does_not_grow_with_the_file(
    notes_of: Callable[[int], Path], encoder: ColBERT, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: make test-integrations")
    found = []
    for count in (200, 4000):
        peaks("export", notes_of(count), "--to", "parquet", tmp_path / "notes.parquet", "--override")
        found.append(peaks("import", tmp_path / "notes.parquet", tmp_path / f"{count}.lt", "--model", BUNDLE))
    check_growth(found[0]["private"], found[1]["private"], 3800, encoder.dim)
