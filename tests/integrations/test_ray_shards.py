"""Collections in shards through Ray: every document once, whatever is killed, and found as in one collection."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pytest.importorskip("ray", reason="ray is not installed: make test-integrations")

import httpx
import ray
import ray.data
from ray import serve

from latelite import Collection
from latelite.errors import IndexCorruptError, IndexMismatchError, IndexNotFoundError, StoreError
from latelite.integrations.ray import Written, export_shards, write_shards
from latelite.integrations.ray.serving import application
from latelite.integrations.shards import Shards
from latelite.models import ColBERT

from .conftest import BUNDLE
from .examples import run_example, run_line

pytestmark = pytest.mark.usefixtures("cluster")

THINGS = ("rye bread", "night trains", "tax returns", "tomatoes", "bicycles", "old books", "sailing")
ANGLES = ("in winter", "for beginners", "and the weather", "at a good price", "in the north")
ROWS = [
    {"id": f"{n}-{m}", "text": f"A note about {thing} {angle}.", "angle": m, "tags": [thing, "note"]}
    for n, thing in enumerate(THINGS)
    for m, angle in enumerate(ANGLES)
]
MANY = [{"id": n, "text": f"Note {n} about bread, trains and the weather. " * (2 + n % 3)} for n in range(400)]
QUESTIONS = ("Brot backen", "vélo en hiver", "treno di notte", "cheap tomatoes")
RUN = """
import sys, ray
from latelite.integrations.ray import write_shards
ray.init(address=sys.argv[1], logging_level="ERROR")
rows = [{"id": n, "text": f"Note {n} about bread, trains and the weather. " * (2 + n % 3)} for n in range(400)]
write_shards(ray.data.from_items(rows), sys.argv[2], sys.argv[3], shards=2, workers=1, precision="int8", batch_size=8)
"""


def write(folder: Path, rows: list[dict[str, Any]] = ROWS, **options: Any) -> Written:
    given: dict[str, Any] = {"shards": 3, "workers": 2, "precision": "int8", "metadata": ["angle", "tags"], **options}
    return write_shards(ray.data.from_items(rows), folder, BUNDLE, **given)


@pytest.fixture(scope="module")
def shards(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    assert write(folder, batch_size=10) == Written(new=35, replaced=0, skipped=0, documents=35)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, encoder: ColBERT) -> Collection:
    collection = Collection(tmp_path_factory.mktemp("whole") / "all.lt", encoder)
    texts = [row["text"] for row in ROWS]
    metadata = [{"angle": row["angle"], "tags": row["tags"]} for row in ROWS]
    collection.add([row["id"] for row in ROWS], texts, metadata)
    return collection


def content(folder: Path) -> Counter[tuple[Any, ...]]:
    """All documents of all shards, counted."""
    found: Counter[tuple[Any, ...]] = Counter()
    with Shards.open(folder) as opened:
        for collection in opened.collections:
            collection.verify()
            found.update((document.id, document.text) for document in collection)
    return found


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "lexical"])
def test_a_sharded_answer_equals_the_unsharded_one(shards: Path, whole: Collection, mode: Any) -> None:
    with Shards.open(shards) as opened:
        assert min(map(len, opened.collections)) > 3
        for question in QUESTIONS:
            found = opened.search(question, 5, mode=mode, where={"angle": {"$gte": 1}})
            wanted = {hit.id: hit for hit in whole.search(question, 99, mode=mode, where={"angle": {"$gte": 1}})}
            assert len(found) == min(5, len(wanted))
            assert found or mode == "lexical"
            best = [hit.score for hit in wanted.values()][: len(found)]
            assert [hit.score for hit in found] == pytest.approx(best, abs=5e-3)
            for hit in found:  # equal scores come in another order
                assert hit.score == pytest.approx(wanted[hit.id].score, abs=5e-3)
                assert (hit.text, hit.metadata) == (wanted[hit.id].text, wanted[hit.id].metadata)


def test_another_run_encodes_what_is_new_or_changed(tmp_path: Path) -> None:
    write(tmp_path, ROWS[:30])
    assert write(tmp_path, ROWS) == Written(new=5, replaced=0, skipped=30, documents=35)
    changed = [{**ROWS[0], "angle": 7}, {**ROWS[1], "text": "Something else."}, *ROWS[2:]]
    assert write(tmp_path, changed) == Written(new=0, replaced=2, skipped=33, documents=35)
    with Shards.open(tmp_path) as opened:
        assert opened.get(ROWS[0]["id"]).metadata["angle"] == 7
        assert opened.get(ROWS[1]["id"]).text == "Something else."


def test_what_was_begun_otherwise_is_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexMismatchError, match="begun with shards=3, not 4"):
        write(shards, shards=4)
    with pytest.raises(IndexMismatchError, match="pool_factor=1, not 2"):
        write(shards, pool_factor=2)
    with pytest.raises(ValueError, match="at least 1"):
        write(tmp_path / "none", workers=0)
    with pytest.raises(Exception, match="metadata of document 'x' cannot be written as JSON"):
        write(tmp_path / "bad", [{"id": "x", "text": "bread", "angle": float("nan"), "tags": []}])
    with pytest.raises(StoreError, match="not complete"):
        Shards.open(tmp_path / "bad")
    with pytest.raises(IndexNotFoundError, match="holds no shards"):
        Shards.open(tmp_path / "none")
    (tmp_path / "bad" / "shards.json").write_text("{}")
    with pytest.raises(IndexCorruptError, match="damaged"):
        Shards.open(tmp_path / "bad")


def processes(name: bytes) -> list[int]:
    """Ray's workers whose title begins like this."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(name):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def kill_when(name: bytes, ready: Callable[[], bool], killed: list[int]) -> Thread:
    """Kill one worker of a name as soon as ``ready``."""

    def wait() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            for pid in processes(name) if ready() else []:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return
            time.sleep(0.05)

    thread = Thread(target=wait)
    thread.start()
    return thread


def documents(folder: Path, encoder: ColBERT) -> int:
    """How many are written by now."""
    total = 0
    for each in folder.glob("shard-*.lt"):
        try:
            with Collection(each, encoder, read_only=True) as collection:
                total += len(collection)
        except StoreError:  # it is just being made
            continue
    return total


def test_nothing_is_lost_or_doubled_when_an_encoder_and_an_owner_are_killed(tmp_path: Path, encoder: ColBERT) -> None:
    killed: dict[bytes, list[int]] = {b"ray::MapWorker": [], b"ray::_Owner": []}
    threads = [
        kill_when(name, lambda least=least: documents(tmp_path, encoder) >= least, killed[name])  # type: ignore[misc]
        for name, least in ((b"ray::MapWorker", 40), (b"ray::_Owner", 120))
    ]
    written = write(tmp_path, MANY, shards=2, metadata=[], batch_size=8)
    for thread in threads:
        thread.join()
    assert all(killed.values())
    assert written.documents == len(MANY)
    assert content(tmp_path) == Counter((row["id"], row["text"]) for row in MANY)


def test_a_run_that_is_killed_goes_on_where_it_stopped(cluster: str, tmp_path: Path, encoder: ColBERT) -> None:
    run = subprocess.Popen([sys.executable, "-c", RUN, cluster, str(tmp_path), str(BUNDLE)])
    deadline = time.monotonic() + 120
    while documents(tmp_path, encoder) < 80 and time.monotonic() < deadline:
        assert run.poll() is None, "it ended too early to be killed"
        time.sleep(0.05)
    run.kill()
    run.wait()
    with pytest.raises(StoreError, match="not complete"):
        Shards.open(tmp_path)
    written = write(tmp_path, MANY, shards=2, metadata=[], batch_size=8)
    assert written.skipped >= 80
    assert written.new == len(MANY) - written.skipped
    assert content(tmp_path) == Counter((row["id"], row["text"]) for row in MANY)


def test_shards_become_parquet_files_and_one_collection_again(shards: Path, whole: Collection, tmp_path: Path) -> None:
    from latelite.integrations import parquet

    exported = export_shards(shards, tmp_path / "out", "parquet", workers=2)
    assert sum(each.documents for each in exported) == len(ROWS)
    before = {path: path.stat().st_ino for path in (tmp_path / "out").glob("*.parquet")}
    assert len(before) == 3
    (tmp_path / "out" / exported[1].name).unlink()
    assert export_shards(shards, tmp_path / "out", "parquet", workers=2) == exported
    after = {path: path.stat().st_ino for path in (tmp_path / "out").glob("*.parquet")}
    assert sum(before[path] == after[path] for path in after) >= 2  # what is there is not written again
    with Collection(tmp_path / "back.lt", whole.model) as back:
        assert parquet.read(tmp_path / "out", back) == len(ROWS)
        assert sorted(back.ids) == sorted(whole.ids)
    with pytest.raises(IndexMismatchError, match="dtype='float32', not 'int8'"):
        export_shards(shards, tmp_path / "out", "parquet", dtype="int8", workers=2)


def test_shards_become_lancedb_folders(shards: Path, tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb", reason="lancedb is not installed: make test-integrations")
    exported = export_shards(shards, tmp_path, "lance", dtype="float16", workers=1)
    tables = [lancedb.connect(str(tmp_path / each.name)).open_table("documents") for each in exported]
    assert [table.count_rows() for table in tables] == [each.documents for each in exported]
    assert sum(each.documents for each in exported) == len(ROWS)


def test_ray_serve_answers_as_one_collection(shards: Path, whole: Collection) -> None:
    with Shards.open(shards) as opened:
        handle = serve.run(application(shards, precision="int8", num_cpus=0.1), route_prefix="/")
        for question in QUESTIONS:
            found = handle.search.remote(question, k=5, where={"angle": {"$lt": 4}}, explain=True).result()
            assert found == opened.search(question, 5, where={"angle": {"$lt": 4}}, explain=True)
            assert found[0].id == whole.search(question, 1, where={"angle": {"$lt": 4}})[0].id
    address = "http://127.0.0.1:8000/"
    answer = httpx.post(address, json={"query": "treno di notte", "k": 2}, timeout=60)
    assert [hit["id"] for hit in answer.json()["hits"]] == [hit.id for hit in whole.search("treno di notte", 2)]
    for wrong in (
        {"k": 2},
        {"query": "a", "where": {"a": {"$near": 1}}},
        {"query": "a", "k": 0},
        {"query": "a", "n": 1},
    ):
        refused = httpx.post(address, json=wrong, timeout=60)
        assert refused.status_code == 400
        assert "\n" not in refused.json()["error"]
    serve.shutdown()


def test_the_documentations_examples_run(project: Path) -> None:
    write(project / "shards", shards=1)
    found = run_example("latelite.integrations.ray.serving")["value"]
    assert len(found) == 5
    assert run_line("serve.run", serve=serve).search.remote("night trains", k=1).result()[0].id.startswith("1-")
    serve.shutdown()
