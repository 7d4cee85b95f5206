"""SIGKILL at random moments: what is opened next is the state before or after the operation, never another.

The default run kills a few times. ``LATELITE_KILLS=300`` sets the number, for collections and for the kinds of index;
``LATELITE_SEED=1`` takes other moments.
"""

from __future__ import annotations

import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite import Collection, indexes
from latelite.models import ColBERT
from reliability.conftest import SEED
from reliability.writer_process import OPTIONS, CollectionWriter, State, vectors

KINDS = ["Exact", "HNSW", "IVF"]
KILLS = int(os.environ.get("LATELITE_KILLS", "24"))
WRITER = Path(__file__).with_name("writer_process.py")
PER_FOLDER = 8
"""Kills before a new folder is begun, so that creation is interrupted, too."""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


class Writers:
    """Starts writers and kills them."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(WRITER.parent.parent), *sys.path])
        self._process = subprocess.Popen(
            [sys.executable, str(WRITER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def kill_one(self, job: dict[str, Any], delay: float) -> list[tuple[str, str, State]]:
        """Run a writer for ``delay`` seconds; returns what it said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
        status = int(self._process.stdout.readline())
        assert status == signal.SIGKILL, f"the writer failed by itself, see its standard error: {job}"
        log = Path(job["log"])
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        log.unlink(missing_ok=True)
        return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]

    def close(self) -> None:
        self._process.communicate(timeout=60)  # closes both pipes; without jobs it ends


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    started = Writers()
    yield started
    started.close()


def possible(said: list[tuple[str, str, State]], before: State) -> list[State]:
    """The states that may be found after a writer said this."""
    acknowledged = [state for word, _, state in said if word == "done"]
    states = [acknowledged[-1] if acknowledged else before]
    if said and said[-1][0] == "begin" and said[-1][1] != "create":
        states.append(said[-1][2])
    return states


def delay_of(rng: random.Random) -> float:
    """Seconds: one kill in four falls into the opening or the creation."""
    return rng.uniform(0, 0.06) if rng.random() < 0.25 else rng.uniform(0.05, 0.6)


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_reopens_to_the_old_or_the_new_state(
    kind: str, tmp_path: Path, writers: Writers, record_property: Callable[[str, object], None]
) -> None:
    if kind == "HNSW":
        pytest.importorskip("hnswlib")
    rng = random.Random(f"{kind} {KILLS} {SEED}")
    before: State = {}
    interrupted: collections.Counter[str] = collections.Counter()
    for number in range(KILLS // len(KINDS)):
        seed = SEED * KILLS + number
        folder = tmp_path / str(number // PER_FOLDER)
        before = before if number % PER_FOLDER else {}
        job = {"kind": kind, "folder": str(folder), "log": str(tmp_path / "log"), "seed": seed, "state": before}
        said = writers.kill_one(job, delay_of(rng))
        interrupted.update(operation for word, operation, _ in said[-1:] if word == "begin")
        with getattr(indexes, kind)(folder, "index", **OPTIONS.get(kind, {})) as index:
            index.verify()
            found = next((each for each in possible(said, before) if holds(index, each)), None)
            assert found is not None, f"neither the old nor the new state: {kind}, seed {seed}, {folder}"
            before = found
            # The next writer works on top of whatever the killed one left, and cleans up after it.
            index.add_documents(["1000000"], [vectors("1000000", 0)])
            index.remove_documents(["1000000"])
            named = {segment.entry.name for segment in index._storage.view().segments}
            segments = folder / "index" / "segments"
            assert {path.name for path in segments.iterdir()} == named if segments.exists() else not named
    record_property("kills", KILLS // len(KINDS))
    record_property("interrupted", json.dumps(interrupted))
    assert interrupted.total(), "no kill fell into an operation: the test proved nothing"


def holds(index: indexes.TokenIndex, state: State) -> bool:
    """Whether the index has these documents, and each the vectors of its version."""
    if set(map(str, index.ids)) != set(state):
        return False
    ids = sorted(state)
    stored = index.get_documents_embeddings(ids)
    made = [vectors(i, state[i]) for i in ids]
    return all(len(a) == len(b) and np.allclose(a, b, atol=0.03) for a, b in zip(stored, made, strict=True))


def test_a_collection_reopens_to_the_old_or_the_new_state(
    tmp_path: Path,
    writers: Writers,
    bundle: Callable[[str], Path],
    model: ColBERT,
    record_property: Callable[[str, object], None],
) -> None:
    rng = random.Random(f"collection {KILLS} {SEED}")
    before: State = {}
    interrupted: collections.Counter[str] = collections.Counter()
    for number in range(KILLS):
        seed = SEED * KILLS + number
        folder = tmp_path / str(number // PER_FOLDER)
        folder.mkdir(exist_ok=True)
        before = before if number % PER_FOLDER else {}
        index = ("IVF", "Exact")[number // PER_FOLDER % 2]
        job = {"kind": "Collection", "folder": str(folder), "log": str(tmp_path / "log"), "seed": seed}
        said = writers.kill_one({**job, "bundle": str(bundle("bert-pylate")), "index": index}, delay_of(rng))
        interrupted.update(operation for word, operation, _ in said[-1:] if word == "begin")
        if not (folder / "notes.lt" / "collection.json").exists():
            assert not any(word == "done" for word, _, _ in said)
            Collection(folder / "notes.lt", bundle("bert-pylate"), index=index).close()  # what is half made is made
        with Collection(folder / "notes.lt") as collection:  # with its own model
            found = contents(collection)
            assert found in possible(said, before), f"neither the old nor the new state: seed {seed}, {folder}"
            assert len(collection.search("a b c", k=3)) == min(3, len(found))
            check_vectors(collection, model)
            collection.add(["1000000"], ["the next writer"])
            collection.remove(["1000000"])
            assert contents(collection) == found
        before = found
        states = [state for _, _, state in said]
        for backup in folder.glob("backup-*"):  # there as a whole, or not at all
            with Collection(backup, read_only=True) as copy:
                assert contents(copy) in states
        for path in [*folder.glob("backup-*"), *folder.glob(".backup-*")]:
            shutil.rmtree(path)
    record_property("kills", KILLS)
    record_property("interrupted", json.dumps(interrupted))
    assert interrupted.total(), "no kill fell into an operation: the test proved nothing"
    if KILLS >= 200:
        assert set(interrupted) == {"create", *CollectionWriter.operations}


def contents(collection: Collection) -> State:
    """All documents, verified."""
    collection.verify()
    return {str(each.id): [each.text, each.metadata] for each in collection}


def check_vectors(collection: Collection, model: ColBERT) -> None:
    """Check that the vectors of each document are those of its text."""
    stored = list(collection.token_vectors())
    encoded = model.encode_document([document.text for document, _ in stored], show_progress_bar=False)
    for (document, vectors_), made in zip(stored, encoded, strict=True):
        assert np.allclose(vectors_, made, atol=0.03), document
