"""What lies in the folder, what may lie there, and what the system refuses."""

from __future__ import annotations

import contextlib
import errno
import gc
import mmap
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import small_file_system
from latelite import Collection, indexes
from latelite.bundle import Bundle
from latelite.errors import (
    BundleCorruptError,
    BundleError,
    IndexLockedError,
    IndexNotFoundError,
    IndexVersionError,
    IndexWriteError,
    StoreError,
)
from latelite.models import ColBERT
from latelite.session import Session
from latelite.storage import folders
from latelite.storage.catalogue import Catalogue


def test_the_model_is_a_copy_that_overwriting_the_bundle_does_not_touch(tmp_path: Path, model: ColBERT) -> None:
    bundle = Path(shutil.copytree(model.bundle.folder, tmp_path / "bundle"))
    with Collection(tmp_path / "notes.lt", bundle) as collection:
        assert collection.model.bundle.folder == collection.folder / "model"
        collection.add(["a"], ["bread"])
    for path in bundle.iterdir():
        path.write_bytes(b"another bundle, in place")  # as cp, scp and curl -o do
    with Collection(tmp_path / "notes.lt") as collection:
        assert collection.search("bread")[0].id == "a"
        collection.verify()


def test_only_the_graph_that_is_used_is_copied(tmp_path: Path, model: ColBERT) -> None:
    with Collection(tmp_path / "notes.lt", model) as collection:
        graphs = [path.name for path in (collection.folder / "model").glob("*.onnx")]
        assert graphs == [model.manifest.graphs["int8"].file]


def test_files_of_synchronisers_change_nothing_and_are_left_alone(notes: Collection) -> None:
    """Syncthing, Dropbox, an editor: copies beside ours, and folders that only look like segments."""
    foreign = [
        notes.folder / "documents.sync-conflict-20260101.sqlite",
        notes.folder / "segments" / "00000001-0123abcd (conflict)" / "segment.safetensors",
        notes.folder / "segments" / "notes.txt",
        notes.folder / ".DS_Store",
    ]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("not ours")
    notes.add(["x"], ["a text"])
    notes.compact()
    notes.verify()
    assert all(path.read_text() == "not ours" for path in foreign)


def test_the_former_format_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "CURRENT.json").write_text("{}")
    with pytest.raises(IndexVersionError, match="index the documents again into a new folder"):
        indexes.IVF(tmp_path)


def test_a_collection_without_its_catalogue_is_not_an_empty_one(notes: Collection) -> None:
    """Writing to it would delete its segments."""
    notes.close()
    (notes.folder / "documents.sqlite").unlink()
    with pytest.raises(IndexNotFoundError, match=r"documents\.sqlite is missing"):
        Collection(notes.folder)
    assert list((notes.folder / "segments").iterdir())


def test_the_tilde_is_the_home_folder(tmp_path: Path, model: ColBERT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Collection("~/notes.lt", model) as collection:
        assert collection.folder == tmp_path / "notes.lt"
        collection.backup("~/copy.lt")
    assert (tmp_path / "copy.lt" / "collection.json").exists()
    shutil.copytree(model.bundle.folder, tmp_path / "bundle")
    assert ColBERT("~/bundle", threads=1).bundle.folder == tmp_path / "bundle"
    with indexes.Exact("~/indexes", "notes") as index:
        index.add_documents([1], [[[1.0, 0.0]]])
    assert (tmp_path / "indexes" / "notes" / "documents.sqlite").exists()


def test_without_mmap_files_are_read(notes: Collection, model: ColBERT, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = notes.search("text 7")

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(mmap, "mmap", refused)
    with Collection(notes.folder, model) as opened:
        assert opened.search("text 7") == expected
        opened.verify()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM, errno.EACCES, errno.EIO])
def test_an_error_of_the_system_while_mapping_is_no_damage(
    notes: Collection, model: ColBERT, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(mmap, "mmap", refused)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        Collection(notes.folder, model)
    assert caught.value.errno == code
    assert "damaged" not in str(caught.value)


@contextlib.contextmanager
def descriptors(free: int) -> Iterator[None]:
    """Only so many more files can be opened."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, limits[0]), limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(free):
            os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_too_few_descriptors_are_no_damage(notes: Collection) -> None:
    """Whatever is opened at that moment: the model's files by ONNX Runtime, the catalogue by SQLite, a segment."""
    notes.close()
    for free in range(60):
        try:
            with descriptors(free), Collection(notes.folder, threads=1) as collection:
                collection.search("text 7")
            break
        except OSError as error:
            told = f"{error.errno}: {error}"
        assert told.startswith(f"{errno.EMFILE}: ")
        assert "damaged" not in told
    assert 0 < free < 59
    bundle = Bundle(notes.folder / "model")
    graph = bundle.graph_path("int8")
    with descriptors(0), pytest.raises(OSError, match=r"Too many open files.*model_int8\.onnx"):
        Session(graph, bundle.manifest)
    catalogue = Catalogue(notes.folder, timeout=1, read_only=False)
    with descriptors(0), pytest.raises(OSError, match=r"documents\.sqlite: Too many open files"), catalogue.reading():
        pass
    catalogue.close()


def test_a_graph_that_onnx_runtime_refuses_is_not_called_damaged(
    notes: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise RuntimeError("opset 99 is not supported")

    notes.close()
    with monkeypatch.context() as patch:
        patch.setattr("onnxruntime.InferenceSession", refused)
        with pytest.raises(BundleError, match="opset 99") as caught:
            Collection(notes.folder)
    assert not isinstance(caught.value, BundleCorruptError)
    with Collection(notes.folder) as collection:
        collection.verify()


def test_folders_that_cannot_be_fsynced_are_used_without(
    tmp_path: Path, model: ColBERT, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refused)
    with Collection(tmp_path / "notes.lt", model) as collection:
        collection.add(["a"], ["bread"])
        collection.compact()
        collection.backup(tmp_path / "copy.lt")


def test_a_file_system_without_locks_is_named(notes: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says "locked" there; that another process writes would be a lie, for ever."""
    import fcntl

    def refused(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refused)
    assert folders.lacks_locks(notes.folder) == "No locks available"
    with pytest.raises(IndexLockedError, match="file system without locks"):
        raise notes._storage.catalogue._locked()


def test_tens_of_collections_in_one_app(tmp_path: Path, model: ColBERT) -> None:
    """A descriptor for each file would meet the usual limit of 1,024 soon."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("counts descriptors in /proc")
    opened = []
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(20):
        collection = Collection(tmp_path / f"{number}.lt", model)
        collection.add(range(30), [f"text {number}"] * 30)
        collection.compact()
        collection.add(["recent"], ["text"])
        assert collection.search("text")
        opened.append(collection)
    taken = len(list(Path("/proc/self/fd").iterdir())) - before
    assert taken <= 6 * len(opened)
    for collection in opened:
        collection.close()
    gc.collect()
    left = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]  # noqa: PTH115
    assert not [path for path in left if str(tmp_path) in path]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB in memory."""
    with small_file_system(tmp_path / "small", "3m") as place:
        yield place


def test_a_full_disk_is_told_and_nothing_is_lost(mounted: Path, model: ColBERT) -> None:
    with Collection(mounted / "notes.lt", model) as collection:
        collection.add(["first"], ["the first text"])
        kept: list[Any] = ["first"]

        def fill() -> None:
            for start in range(0, 1_000_000, 200):
                ids = list(range(start, start + 200))
                collection.add(ids, [f"text {number} " * 20 for number in ids])
                kept.extend(ids)

        with pytest.raises(IndexWriteError, match=r"disk is full|No space left") as caught:
            fill()
        assert caught.value.errno == errno.ENOSPC
        assert collection.ids == kept
        collection.verify()
        collection.remove(kept[1:])
        assert collection.search("first text")[0].id == "first"
    with Collection(mounted / "notes.lt") as collection:
        collection.compact()
        collection.add(["later"], ["there is room again"])
        assert collection.ids == ["first", "later"]


def test_on_a_read_only_mount_reading_works_and_writing_is_refused(mounted: Path, model: ColBERT) -> None:
    with Collection(mounted / "notes.lt", model) as collection:
        collection.add(range(9), [f"text {number}" for number in range(9)])
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    for read_only in (True, False):
        with Collection(mounted / "notes.lt", read_only=read_only) as collection:
            assert collection.search("text 7", k=1)[0].id == 7
            collection.verify()
            with pytest.raises(IndexWriteError):
                collection.add(["x"], ["a text"])
            with pytest.raises(IndexWriteError):
                collection.remove([7])


def test_a_write_that_was_interrupted_is_not_ignored_on_a_read_only_folder(
    mounted: Path, model: ColBERT, tmp_path: Path
) -> None:
    """A journal with something in it belongs to the database: without it, half a write would be the state."""
    folder = mounted / "notes.lt"
    with Collection(folder, model) as collection:
        collection.add(range(9), [f"text {number}" for number in range(9)])
    code = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA cache_size = 5')\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "for number in range(40):\n"
        "    connection.execute('UPDATE texts SET text = zeroblob(20000)')\n"
        "os._exit(0)\n"  # in the middle: some pages are in the database already
    )
    subprocess.run([sys.executable, "-c", code, str(folder / "documents.sqlite")], check=True)
    assert any((folder / "documents.sqlite-journal").read_bytes()[:8])
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    with pytest.raises(StoreError, match="left in the middle of a write"):
        Collection(folder, read_only=True)
    subprocess.run(["mount", "-o", "remount,rw", str(mounted)], check=True)
    with pytest.raises(StoreError, match="left in the middle of a write"):
        Collection(folder, read_only=True)  # which never writes, not even this
    with Collection(folder) as collection:
        assert [collection.get(number).text for number in range(9)] == [f"text {number}" for number in range(9)]
        collection.verify()
    with Collection(folder, read_only=True) as collection:
        assert len(collection) == 9


def test_vectors_that_are_handed_out_are_the_callers_own(notes: Collection) -> None:
    for _, vectors in notes.token_vectors():
        vectors[:] = np.nan
    notes.verify()
