"""SIGKILL at any moment: the next opening finds the state before or after, whole, and nothing acknowledged is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from latelite import Collection
from latelite.errors import StoreError
from latelite.models import ColBERT

KILLS = int(os.environ.get("LATELITE_KILLS", "8"))
WRITER = Path(__file__).parent / "writer_process.py"


def test_nothing_acknowledged_is_lost(tmp_path: Path, bundle: Callable[[str], Path], model: ColBERT) -> None:
    folder = tmp_path / "notes.lt"
    generator = random.Random(KILLS)
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, str(WRITER), str(folder), str(bundle("bert-pylate"))],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        # From the first moment of the process, which may be that of the folder's creation, to well into the writing.
        time.sleep(generator.choice([0.2, 0.5, 1.0]) + generator.random())
        process.send_signal(signal.SIGKILL)
        said = [json.loads(line) for line in process.stdout.read().splitlines() if line.endswith("]")]
        process.stdout.close()
        process.wait()
        possible = [state for what, state in said if what in ("open", "done")][-1:]
        if said and said[-1][0] == "begin":
            possible.append(said[-1][1])
        if not (folder / "collection.json").exists():
            assert not said  # killed while it was made; the next process makes it
            continue
        with Collection(folder, model) as collection:
            found = {str(document.id): document.text for document in collection}
            assert not possible or found in possible
            collection.verify()
            assert len(collection.search("text number", k=3)) == min(3, len(found))


def test_eight_processes_make_and_fill_one_collection(tmp_path: Path, bundle: Callable[[str], Path]) -> None:
    script = (
        "import sys; from latelite import Collection\n"
        "collection = Collection(sys.argv[1], sys.argv[2], threads=1, timeout=120)\n"
        "for n in range(5): collection.add([f'{sys.argv[3]}-{n}'], [f'text {n} of process {sys.argv[3]}'])\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "notes.lt"), str(bundle("bert-pylate"))]
    processes = [subprocess.Popen([*arguments, str(n)], stderr=subprocess.PIPE, text=True) for n in range(8)]
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    with Collection(tmp_path / "notes.lt", read_only=True) as collection:
        assert sorted(map(str, collection.ids)) == sorted(f"{p}-{n}" for p in range(8) for n in range(5))
        collection.verify()


@pytest.mark.parametrize("name", ["segments", "documents.sqlite", "model"])
def test_a_part_that_is_a_symbolic_link_is_refused_and_nothing_behind_it_changes(
    tmp_path: Path, model: ColBERT, name: str
) -> None:
    with Collection(tmp_path / "notes.lt", model) as collection:
        collection.add(["a"], ["text"])
        collection.compact()
    part, elsewhere = tmp_path / "notes.lt" / name, tmp_path / "elsewhere"
    part.rename(elsewhere)
    part.symlink_to(elsewhere)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if "notes.lt" not in path.parts}
    with pytest.raises(StoreError, match="symbolic link"):
        _open_and_add(tmp_path / "notes.lt", model)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if "notes.lt" not in path.parts} == before


def _open_and_add(folder: Path, model: ColBERT) -> None:
    with Collection(folder, model) as collection:
        collection.add(["b"], ["more"])
