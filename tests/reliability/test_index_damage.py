"""Damaged, foreign and unwritable index folders: a clear error that names the file, never a wrong answer or a crash."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index_samples import ids_of, topical
from latelite import indexes
from latelite.errors import (
    IndexCorruptError,
    IndexLockedError,
    IndexNotFoundError,
    IndexVersionError,
    IndexWriteError,
    StoreError,
)
from latelite.indexes.index import TokenIndex
from latelite.indexes.lock import writer_lock
from latelite.indexes.output import open_array, write_whole

KINDS: dict[str, Callable[..., TokenIndex]] = {
    "Exact": indexes.Exact,
    "HNSW": lambda *a, **o: indexes.HNSW(*a, graph_threshold=1, **o),
    "IVF": lambda *a, **o: indexes.IVF(*a, scan_threshold=1, n_centroids=16, **o),
}
CORPUS = topical(60)

Make = Callable[..., TokenIndex]


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    return lambda **options: KINDS[request.param](tmp_path, "index", **options)


@pytest.fixture
def folder(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index with two segments, payloads, and removed documents."""
    with monkeypatch.context() as patch, make() as index:
        patch.setattr(os, "fsync", lambda _: None)
        index.add_documents(list(range(40)), CORPUS[:40], [{"n": n} for n in range(40)])
        index.add_documents(list(range(40, 60)), CORPUS[40:])
        index.remove_documents([3, 4, 41])
    return tmp_path / "index"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")


def open_and_verify(make: Make) -> None:
    with make() as index:
        index.verify()


def test_every_missing_file_is_named(make: Make, folder: Path) -> None:
    for path in files(folder):
        hidden = path.rename(folder.parent / "hidden")
        if path.name == "CURRENT.json":  # without a pointer nothing was ever published here
            with make() as index:
                assert len(index) == 0
        else:
            with pytest.raises(IndexNotFoundError, match=path.name):
                open_and_verify(make)
        hidden.rename(path)
    open_and_verify(make)


def test_every_truncated_file_is_named(make: Make, folder: Path) -> None:
    for path in files(folder):
        whole = path.read_bytes()
        for size in {0, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:size])
            if path.name == "CURRENT.json" and size == len(whole) - 1:
                continue  # only the line end is gone
            with pytest.raises(IndexCorruptError, match=path.name):
                open_and_verify(make)
        path.write_bytes(whole)
    open_and_verify(make)


def test_every_flipped_byte_is_named(make: Make, folder: Path) -> None:
    for path in files(folder):
        if path.name == "CURRENT.json":
            continue
        whole = path.read_bytes()
        for position in {0, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
            damaged = bytearray(whole)
            damaged[position] ^= 0x10
            path.write_bytes(damaged)
            with pytest.raises(IndexCorruptError, match=path.name):
                open_and_verify(make)
        path.write_bytes(whole)
    open_and_verify(make)


def test_any_damage_to_an_array_header_is_corruption(tmp_path: Path) -> None:
    """NumPy answers some of it with errors of its tokenizer."""
    path = tmp_path / "array.npy"
    write_whole(path, np.arange(320, dtype=np.uint8).reshape(40, 8))
    whole = path.read_bytes()
    for position in range(len(whole) - 320):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with contextlib.suppress(IndexCorruptError):
            open_array(path, shape=(40, 8), dtype=np.uint8)


def test_a_damaged_pointer_never_leads_to_another_answer(make: Make, folder: Path) -> None:
    path = folder / "CURRENT.json"
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x01
        path.write_bytes(damaged)
        try:
            with make() as index:
                assert len(index) == 57
        except StoreError:
            pass
    path.write_bytes(whole)
    open_and_verify(make)


@pytest.mark.parametrize("name", ["CURRENT.json", "generation"])
def test_another_format_version(make: Make, folder: Path, name: str) -> None:
    path = folder / "CURRENT.json"
    content = json.loads(path.read_text())
    if name == "generation":
        (folder / content["file"]).write_text("{}")
        with pytest.raises(IndexCorruptError, match="generation-"):
            make()
        return
    path.write_text(json.dumps(content | {"format_version": 99}))
    with pytest.raises(IndexVersionError, match="format version 99, this latelite reads"):
        make()
    path.write_text(json.dumps(content | {"format": "other"}))
    with pytest.raises(IndexCorruptError, match=r"CURRENT\.json is not the pointer"):
        make()
    with make(override=True) as index:  # a damaged index can be replaced
        index.add_documents(["new"], CORPUS[:1])
        index.verify()
    with make() as index:
        assert index.ids == ["new"]


def test_damage_under_an_open_reader_is_reported_by_refresh(make: Make, folder: Path) -> None:
    with make() as index:
        (folder / "CURRENT.json").write_text("{")
        with pytest.raises(IndexCorruptError):
            index.refresh()
        with pytest.raises(IndexCorruptError):
            len(index)


# ------------------------------------------------------------------------------------------------------------- failures


class Interrupted(BaseException):
    """Stands for a crash: not an Exception, so nothing in between may swallow it."""


def steps(monkeypatch: pytest.MonkeyPatch, fail_at: int | None, error: BaseException) -> Iterator[int]:
    """Count fsyncs and renames; raise ``error`` in step ``fail_at`` before it happens."""
    count = 0
    fsync, rename = os.fsync, Path.replace

    def step() -> None:
        nonlocal count
        count += 1
        if count == fail_at:
            raise error

    def failing_fsync(descriptor: int) -> None:
        step()

    def failing_replace(path: Path, target: Path) -> Path:
        step()
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", failing_fsync)
    monkeypatch.setattr(Path, "replace", failing_replace)
    yield
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    yield count


OPERATIONS: dict[str, tuple[Callable[[TokenIndex], Any], set[int]]] = {
    "add": (lambda index: index.add_documents([100, 101], CORPUS[:2], [{"n": 1}, None]), {100, 101}),
    "update": (lambda index: index.update_documents([5, 45, 100], CORPUS[:3]), {100}),
    "remove": (lambda index: index.remove_documents([5, 45]), {-5, -45}),
    "compact": (lambda index: index.compact(), set()),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Interrupted()], ids=["full", "crash"])
def test_failing_at_every_single_step_leaves_the_old_or_the_new_state(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch, operation: str, error: BaseException
) -> None:
    act, change = OPERATIONS[operation]
    old = set(range(60)) - {3, 4, 41}
    new = (old | {i for i in change if i > 0}) - {-i for i in change if i < 0}
    fail_at = 0
    finished = False
    while not finished:
        fail_at += 1
        with make() as index:
            counting = steps(monkeypatch, fail_at, error)
            next(counting)
            try:
                act(index)
                finished = True
            except (IndexWriteError, Interrupted):
                pass
            next(counting)
            # The object that failed goes on from what is published.
            assert set(index.ids) in (old, new)
        with make() as again:
            again.verify()
            found = set(again.ids)
            assert found in (old, new)
            assert again.payload(7) == {"n": 7}
            if finished:
                assert found == new
            elif found == new != old:
                break  # the pointer was replaced: only tidying is left
    assert fail_at > 5


def test_disk_full(make: Make, folder: Path) -> None:
    """A limit on file sizes stands for a full disk: the system refuses the write in the same place."""
    script = (
        "import resource, sys, numpy as np\n"
        "from latelite import indexes, errors\n"
        "kind, folder = sys.argv[1:]\n"
        "options = {'HNSW': {'graph_threshold': 1}, 'IVF': {'scan_threshold': 1}}.get(kind, {})\n"
        "index = getattr(indexes, kind)(folder, 'index', **options)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "rng = np.random.default_rng(0)\n"
        "try:\n"
        "    index.add_documents(['big'], [rng.standard_normal((20_000, 16)).astype('f4')])\n"
        "except errors.IndexWriteError as error:\n"
        "    assert 'unchanged' in str(error), error\n"
        "    assert isinstance(error, OSError)\n"
        "    sys.stdout.write('refused')\n"
    )
    with make() as index:
        kind = type(index).__name__
    before = {path: path.read_bytes() for path in files(folder)}
    done = subprocess.run(
        [sys.executable, "-c", script, kind, str(folder.parent)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "refused", done.stderr
    assert {path: path.read_bytes() for path in files(folder)} == before, "half-written files stayed on a full disk"
    open_and_verify(make)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(make: Make, folder: Path) -> None:
    folder.chmod(0o500)
    try:
        with make() as index:
            assert len(index) == 57  # reading goes on
            with pytest.raises(IndexWriteError, match="Could not write"):
                index.add_documents([100], CORPUS[:1])
    finally:
        folder.chmod(0o700)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    index = indexes.Exact(tmp_path / "file", "index")
    with pytest.raises(IndexWriteError, match="Could not write"):
        index.add_documents([1], CORPUS[:1])


# -------------------------------------------------------------------------------------------------------------- writers


def test_a_second_writer_is_refused_and_changes_nothing(make: Make, folder: Path) -> None:
    with make() as index:
        with writer_lock(folder / "lock"):
            for write in (
                lambda: index.add_documents([100], CORPUS[:1]),
                lambda: index.update_documents([5], CORPUS[:1]),
                lambda: index.remove_documents([5]),
                lambda: index.compact(),
            ):
                with pytest.raises(IndexLockedError, match="being written by another process"):
                    write()
            assert ids_of(index(CORPUS[5], k=1)[0]) == [5]  # reading goes on
        index.remove_documents([5])
        assert len(index) == 56


def test_the_lock_binds_other_processes_and_dies_with_its_holder(make: Make, folder: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from latelite.indexes.lock import writer_lock\n"
        "with writer_lock(Path(sys.argv[1])):\n"
        "    sys.stdout.write('held\\n'); sys.stdout.flush()\n"
        "    sys.stdin.read()\n"
    )
    with make() as index:
        holder = subprocess.Popen(
            [sys.executable, "-c", script, str(folder / "lock")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(IndexLockedError):
                index.remove_documents([5])
            holder.kill()
        index.remove_documents([5])
        assert 5 not in index


def test_a_reader_that_loses_the_race_reads_the_pointer_again(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make() as writer, make() as reader:
        current = type(writer._store).current
        lost: list[bool] = []

        def overtaken(store: Any) -> Any:
            generation = current(store)
            if store is reader._store and not lost:
                lost.append(True)
                writer.compact()  # deletes every segment that ``generation`` names
            return generation

        monkeypatch.setattr(type(writer._store), "current", overtaken)
        writer.add_documents([200], CORPUS[:1])
        assert 200 in reader
        assert lost
