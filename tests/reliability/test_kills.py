"""SIGKILL at random moments: the index that is opened next is the state before or after the operation, never another.

The default run kills each kind of index a few times. ``LATELITE_KILLS=300`` sets the number in all.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from latelite import indexes
from reliability.writer_process import OPTIONS, vectors

KINDS = ["Exact", "HNSW", "IVF"]
KILLS = int(os.environ.get("LATELITE_KILLS", "12"))
WRITER = Path(__file__).with_name("writer_process.py")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")

State = list[list[int]]


def run_until_killed(kind: str, folder: Path, seed: int, delay: float) -> tuple[State | None, State | None]:
    """Start a writer, and kill it ``delay`` seconds after it is ready.

    Returns the last acknowledged state and the one that was being written, None where there was none.
    """
    command = [sys.executable, str(WRITER), kind, str(folder), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().splitlines(keepends=True)
    assert process.returncode == -signal.SIGKILL, "the writer failed by itself"
    acknowledged = pending = None
    for line in lines:
        word, _, content = line.partition(" ")
        if not content.endswith("\n"):
            continue  # cut off by the kill
        if word == "begin":
            pending = json.loads(content)
        else:
            acknowledged, pending = json.loads(content), None
    return acknowledged, pending


@pytest.mark.parametrize("kind", KINDS)
def test_reopens_to_the_old_or_the_new_state(kind: str, tmp_path: Path) -> None:
    if kind == "HNSW":
        pytest.importorskip("hnswlib")
    rng = random.Random(kind)
    before: State = []
    interrupted = 0
    for seed in range(KILLS // len(KINDS)):
        (tmp_path / "state.json").write_text(json.dumps(before))
        acknowledged, pending = run_until_killed(kind, tmp_path, seed, rng.uniform(0.0, 0.4))
        allowed = [dict(acknowledged if acknowledged is not None else before)]
        if pending is not None:
            allowed.append(dict(pending))
            interrupted += 1
        with getattr(indexes, kind)(tmp_path, "index", **OPTIONS.get(kind, {})) as index:
            index.verify()
            ids = index.ids
            state = next((each for each in allowed if set(each) == set(ids) and holds(index, each)), None)
            assert state is not None, "neither the old nor the new state"
            # The next writer works on top of whatever the killed one left, and cleans up after it.
            index.add_documents([-1], [vectors(0, 0)])
            index.remove_documents([-1])
            named = {segment.entry.name for segment in index._storage.view().segments}
            segments = tmp_path / "index" / "segments"
            assert {path.name for path in segments.iterdir()} == named if segments.exists() else not named
        before = sorted(map(list, state.items()))
    assert interrupted, "no kill fell into an operation: the test proved nothing"


def holds(index: indexes.TokenIndex, state: dict[int, int]) -> bool:
    """Whether each document has the vectors of its version."""
    ids = sorted(state)
    stored = index.get_documents_embeddings(ids)
    return all(
        len(found) == len(made := vectors(i, state[i])) and np.allclose(found, made, atol=0.03)
        for i, found in zip(ids, stored, strict=True)
    )
