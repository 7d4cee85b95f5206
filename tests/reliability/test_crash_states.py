"""Power cuts: whatever a file system may lose of what was not fsynced, the collection is in the old or the new state.

Each scenario is run once under strace, with SQLite's own calls, and its losses are replayed (`reliability.recording`).
``LATELITE_CRASH_STATES=100000`` sets how many are looked at in all, at most; ``LATELITE_SEED=1`` takes others.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from latelite import Collection, indexes
from latelite.models import ColBERT
from reliability import recording
from reliability.conftest import SEED
from reliability.recording import Call, Disk, Tree
from reliability.test_kills import WRITER, check_vectors, contents, holds
from reliability.writer_process import OPTIONS, State

STATES = int(os.environ.get("LATELITE_CRASH_STATES", "300"))
KINDS = ["Collection", "IVF", "HNSW"]
STEPS = 14 if STATES < 10_000 else 60

_SYNCS = ("fsync", "fdatasync")

pytestmark = pytest.mark.skipif(recording.why_not() is not None, reason=str(recording.why_not()))


def record(job: dict[str, Any], trace: Path) -> list[Call]:
    """Run a writer under strace."""
    path = os.pathsep.join([str(WRITER.parent.parent), *sys.path])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    strace = ["strace", "-f", "-qq", "-y", "-xx", "-s", "100000000", "-e", f"trace={recording.CALLS}"]
    done = subprocess.run(
        [*strace, "-e", "signal=none", "-o", str(trace), sys.executable, str(WRITER)],
        input=json.dumps(job) + "\n",
        text=True,
        check=True,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert done.stdout.split()[1:] == ["0"], "the writer failed, see its standard error"
    return list(recording.calls(trace.read_text()))


def crashes(
    calls: list[Call], job: dict[str, Any], rng: random.Random, each: int, *, without: str | None = None
) -> Iterator[tuple[Tree, Crash]]:
    """States of the disk, and what was known at that moment.

    Args:
        without: do as if files and folders whose paths match this pattern had never been fsynced.

    Just before something becomes durable, all that may be lost is: no other moments need to be looked at, but those at
    which the writer says something.
    """
    disk, crash = Disk(Path(job["folder"])), Crash()
    for call in calls:
        said = None
        if call.name == "write" and recording.path_of(call.arguments[0]) == job["log"]:
            said = json.loads(recording.decoded(call.arguments[1]))
        if said or call.name in _SYNCS:
            for tree in disk.losses(rng, each):
                yield tree, crash
        if not (without and call.name in _SYNCS and re.search(without, recording.path_of(call.arguments[0]) or "")):
            disk.apply(call)
        if said:
            crash = crash.after(*said)
    for tree in disk.losses(rng, each):
        yield tree, crash


def test_adding_one_document_costs_at_most_five_fsyncs(tmp_path: Path) -> None:
    """Of the database, its journal, and the folder that holds them; a segment, now and then, takes more."""
    (tmp_path / "root").mkdir()
    job = {"kind": "Exact", "folder": str(tmp_path / "root"), "log": str(tmp_path / "log"), "seed": 3, "steps": 12}
    counts: list[int] = []
    adding = False
    for call in record(job, tmp_path / "trace"):
        if call.name == "write" and recording.path_of(call.arguments[0]) == job["log"]:
            word, operation, _ = json.loads(recording.decoded(call.arguments[1]))
            adding = (word, operation) == ("begin", "add")
            counts += [0] if adding else []
        elif adding and call.name in _SYNCS:
            counts[-1] += 1
    assert counts
    assert min(counts) <= 5


class Crash:
    """What a writer had said when the power went."""

    def __init__(self, acknowledged: State | None = None, pending: State | None = None, backups: int = 0) -> None:
        self.acknowledged = acknowledged
        self.possible = [acknowledged or {}] + ([] if pending is None else [pending])
        self.backups = backups

    def after(self, word: str, operation: str, state: State) -> Crash:
        if word == "begin":
            return Crash(self.acknowledged, state, self.backups)
        return Crash(state, None, self.backups + (operation == "backup"))


def sampled(found: Iterator[tuple[Tree, Crash]], count: int, rng: random.Random) -> list[tuple[Tree, Crash]]:
    """Up to ``count`` different ones (and as few copies of their bytes in memory)."""
    seen: set[bytes] = set()
    kept: list[tuple[Tree, Crash]] = []
    contents: dict[bytes, bytes] = {}
    for number, (tree, crash) in enumerate(found):
        tree = {p: c if c is None else contents.setdefault(hashlib.sha256(c).digest(), c) for p, c in tree.items()}
        key = [(p, c and hashlib.sha256(c).hexdigest()) for p, c in sorted(tree.items())]
        digest = hashlib.sha256(repr((key, id(crash))).encode()).digest()
        if digest in seen:
            continue
        seen.add(digest)
        if len(kept) < count:
            kept.append((tree, crash))
        elif (place := rng.randrange(number + 1)) < count:
            kept[place] = tree, crash
    return kept


def write(tree: Tree, folder: Path) -> None:
    for path, content in tree.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(content)


def check_states(kind: str, cases: list[tuple[Tree, Crash]], memory: Path, model: ColBERT, tmp_path: Path) -> None:
    """Open each; raises AssertionError for the first that is neither the old nor the new state."""
    for number, (tree, crash) in enumerate(cases):
        folder = memory / str(number)
        folder.mkdir()
        write(tree, folder)
        try:
            if kind == "Collection":
                check_collection(folder, crash, model)
            else:
                check_index(folder, crash, kind)
        except Exception as error:
            kept = shutil.copytree(folder, tmp_path / "failed")
            raise AssertionError(f"state {number} of {len(cases)}, kept in {kept}: {error!r}") from error
        finally:
            shutil.rmtree(folder)


def job_of(kind: str, folder: Path, bundle: Path, steps: int) -> dict[str, Any]:
    (folder / "root").mkdir()
    job = {"kind": kind, "folder": str(folder / "root"), "log": str(folder / "log"), "seed": 1, "steps": steps}
    return job | {"bundle": str(bundle), "index": "IVF"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_power_cut_leaves_the_old_or_the_new_state(
    kind: str,
    tmp_path: Path,
    memory: Path,
    bundle: Callable[[str], Path],
    model: ColBERT,
    record_property: Callable[[str, object], None],
) -> None:
    if kind == "HNSW":
        pytest.importorskip("hnswlib")
    rng = random.Random(f"{kind} {SEED}")
    job = job_of(kind, tmp_path, bundle("bert-pylate"), STEPS)
    calls = record(job, tmp_path / "trace")
    each = max(STATES // len(KINDS) // 60, 4)
    cases = sampled(crashes(calls, job, rng, each), STATES // len(KINDS), rng)
    check_states(kind, cases, memory, model, tmp_path)
    record_property("states", len(cases))
    assert len(cases) > STATES // len(KINDS) // 3, "hardly any states were found: nothing was proved"


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(r"/documents\.sqlite$", id="the catalogue"),
        pytest.param(r"/documents\.sqlite-journal$", id="its journal"),
        pytest.param(r"\.safetensors$", id="the file of a segment"),
        pytest.param(r"/segments/[^/]+$", id="the folder of a segment"),
        pytest.param(r"/segments$", id="the folder of the segments"),
        pytest.param(r"/model/[^/]+$", id="the files of the model"),
        pytest.param(r"/notes\.lt$", id="the folder of the collection"),
        pytest.param(r"/root$", id="the folder that holds it"),
    ],
)
def test_every_fsync_is_needed(
    what: str, tmp_path: Path, memory: Path, recorded: tuple[dict[str, Any], list[Call]], model: ColBERT
) -> None:
    """Without one of them a power cut loses something, and the test above sees it."""
    job, calls = recorded
    rng = random.Random(what)
    cases = sampled(crashes(calls, job, rng, 4, without=what), 300, rng)
    with pytest.raises(AssertionError, match=r"^state \d+ of"):
        check_states("Collection", cases, memory, model, tmp_path)


@pytest.fixture(scope="module")
def recorded(
    tmp_path_factory: pytest.TempPathFactory, bundle: Callable[[str], Path]
) -> tuple[dict[str, Any], list[Call]]:
    """A writer of a collection, and what it did."""
    folder = tmp_path_factory.mktemp("recorded")
    job = job_of("Collection", folder, bundle("bert-pylate"), 14)
    return job, record(job, folder / "trace")


def check_collection(folder: Path, crash: Crash, model: ColBERT) -> None:
    if not (folder / "notes.lt" / "collection.json").exists():
        assert crash.acknowledged is None, "an acknowledged collection is gone"
        Collection(folder / "notes.lt", model, index="IVF").close()  # what was half made is made
    with Collection(folder / "notes.lt") as collection:  # with its own model
        found = contents(collection)
        assert found in crash.possible
        check_vectors(collection, model)
        collection.add(["1000000"], ["the next writer"])
        collection.remove(["1000000"])
        assert contents(collection) == found
    backups = list(folder.glob("backup-*"))
    assert len(backups) >= crash.backups, "an acknowledged backup is gone"
    for backup in backups:  # as a whole
        with Collection(backup, read_only=True) as copy:
            contents(copy)


def check_index(folder: Path, crash: Crash, kind: str) -> None:
    with getattr(indexes, kind)(folder, "index", **OPTIONS[kind]) as index:
        index.verify()
        assert any(holds(index, state) for state in crash.possible)
        index.add_documents(["1000000"], [[[1.0] * 16]])
        index.remove_documents(["1000000"])
