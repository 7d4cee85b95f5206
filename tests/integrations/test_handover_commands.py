"""``latelite export`` and ``latelite import``: what the commands write, refuse, and hold in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Run
from latelite import Collection
from latelite.models import ColBERT

from .conftest import BUNDLE

MEMORY = 120_000_000
"""Bytes by which a hand-over of 200 MB of vectors may exceed one of hardly any."""
MAKE_AND_EXPORT = """
import resource, sys
import numpy as np
from latelite import Collection, cli
from latelite.models import ColBERT
folder, bundle, documents, arguments = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
model = ColBERT(bundle, precision="int8", threads=1)
rows = np.random.default_rng(0).standard_normal((100, model.dim)).astype(np.float32)
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
with Collection(folder, model, index="Exact") as collection:
    for first in range(0, documents, 200):
        ids = list(range(first, first + 200))
        collection.add_vectors(ids, ["bread"] * 200, [rows] * 200)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert cli.main(["export", folder, *arguments, "--json"]) == 0
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


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


def test_a_lone_surrogate_is_named_and_nothing_is_left_behind(
    run: Run, notes: Path, tmp_path: Path, encoder: ColBERT
) -> None:
    with Collection(notes, encoder) as collection:
        collection.add(["broken"], ["half a \ud83d pair"])
    status, _, error = run("export", notes, "--to", "vespa-json", tmp_path / "feed.jsonl")
    assert status == 1
    assert "'broken'" in error
    assert not list(tmp_path.glob("*feed*"))


@pytest.mark.parametrize(("target", "package"), [("parquet", "pyarrow"), ("lance", "lancedb")])
def test_memory_does_not_grow_with_the_collection(tmp_path: Path, target: str, package: str) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed: make test-integrations")

    def growth(documents: int) -> int:
        given: list[Any] = [
            tmp_path / f"{documents}.lt",
            BUNDLE,
            documents,
            "--to",
            target,
            tmp_path / f"{documents}.out",
        ]
        done = subprocess.run(
            [sys.executable, "-c", MAKE_AND_EXPORT, *map(str, given)], capture_output=True, text=True, check=True
        )
        return int(done.stdout.split()[-1])

    assert growth(4000) - growth(200) < MEMORY
