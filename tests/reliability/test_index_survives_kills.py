"""SIGKILL at random moments: the index that is opened next is the state before or after the operation, never another.

The default run kills each kind of index a few times. ``LATELITE_KILLS=200`` sets the number in all.
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

from index_samples import topical
from latelite import indexes
from reliability.writer_process import OPTIONS

KINDS = ["Exact", "HNSW", "IVF"]
KILLS = int(os.environ.get("LATELITE_KILLS", "21"))
WRITER = Path(__file__).with_name("writer_process.py")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")

State = list[list[int]]


def run_until_killed(kind: str, folder: Path, seed: int, delay: float) -> tuple[State | None, State | None]:
    """Start a writer, kill it ``delay`` seconds after its first operation began.

    Returns the last acknowledged state and the one that was being written, None where there was none.
    """
    process = subprocess.Popen(
        [sys.executable, str(WRITER), kind, str(folder), str(seed)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline().startswith("ready")
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        lines = output.read().splitlines(keepends=True)
    assert process.wait() == -signal.SIGKILL, "the writer failed by itself"
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
    corpus = topical(200)
    rng = random.Random(kind)
    before: State = []
    interrupted = 0
    for seed in range(KILLS // len(KINDS)):
        acknowledged, pending = run_until_killed(kind, tmp_path, seed, rng.uniform(0.0, 0.4))
        allowed = [acknowledged if acknowledged is not None else before]
        if pending is not None:
            allowed.append(pending)
            interrupted += 1
        with getattr(indexes, kind)(tmp_path, "index", **OPTIONS.get(kind, {})) as index:
            index.verify()
            found = sorted([i, payload["version"]] for i, payload in index.payloads())
            assert found in allowed
            for (i, version), stored in zip(found, index.get_documents_embeddings([i for i, _ in found]), strict=True):
                np.testing.assert_allclose(stored, corpus[(17 * i + version) % len(corpus)], atol=0.02)
            if found:
                best = index(stored, k=1)[0][0]
                assert best["score"] == pytest.approx(len(stored), rel=0.05)
            # The next writer works on top of whatever the killed one left, and cleans up after it.
            index.add_documents([-1], corpus[:1])
            index.remove_documents([-1])
            referred = {entry.name for entry in index._view().generation.segments}
            assert {path.name for path in (tmp_path / "index" / "segments").iterdir()} == referred
            assert len(list((tmp_path / "index").glob("generation-*"))) == 1
            assert not list((tmp_path / "index").glob("*.tmp"))
        before = found
    assert interrupted, "no kill fell into an operation: the test proved nothing"
