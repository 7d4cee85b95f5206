"""Several users of one folder: readers beside writers, writers beside writers, forks, rebuilds under an open reader."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from index_samples import ids_of, topical
from latelite import Collection, indexes
from latelite.errors import IndexLockedError, IndexMismatchError, IndexNotFoundError
from latelite.indexes.documents import Documents
from latelite.models import ColBERT
from latelite.storage import catalogue, merging, writer, writing


def test_a_reader_that_stays_open_through_a_rebuild_finds_what_a_fresh_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nightly rebuild under a running app: other vectors, other centroids, the same names and numbers."""
    monkeypatch.setattr(writing, "RECENT_TOKENS", 100)
    options: Any = {"scan_threshold": 100, "n_centroids": 16, "n_candidates": 20}

    def build(seed: int) -> list[Any]:
        corpus = topical(90, seed=seed)
        with indexes.IVF(tmp_path, **options) as index:
            index.add_documents(range(90), corpus)
        return corpus

    build(1)
    reader = indexes.IVF(tmp_path)
    assert len(reader) == 90
    shutil.rmtree(tmp_path / "index")
    corpus = build(2)
    with reader, indexes.IVF(tmp_path) as fresh:
        for number in range(0, 90, 9):
            assert reader(corpus[number], k=5) == fresh(corpus[number], k=5)
            assert ids_of(reader(corpus[number], k=1)[0]) == [number]


def test_a_reader_goes_on_with_what_it_has_while_a_copy_is_still_arriving(notes: Collection, model: ColBERT) -> None:
    reader = Collection(notes.folder, model)
    before = reader.search("text 7", k=3)
    aside = notes.folder.with_name("segments.aside")
    notes.compact()
    shutil.move(notes.folder / "segments", aside)  # the catalogue is there, its segments are not yet
    assert [hit.id for hit in reader.search("text 7", k=3, mode="semantic")] == [hit.id for hit in before]
    with pytest.raises(IndexNotFoundError, match="missing"):
        Collection(notes.folder, model)
    shutil.move(aside, notes.folder / "segments")
    assert len(reader) == len(Collection(notes.folder, model)) == 19


def test_searching_does_not_wait_for_a_writer(notes: Collection, model: ColBERT) -> None:
    """Another process's transaction, with everything written but the commit, and one of the same object."""
    other = Collection(notes.folder, model)
    for writing_one, number in ((other, 7), (notes, 8)):
        with writing_one._writer.transaction() as transaction:
            transaction.remove([number])
            done: list[Any] = []
            searching = threading.Thread(target=lambda d=done, n=number: d.append(notes.search(f"text {n}", k=1)))
            searching.start()
            searching.join(timeout=60)
            assert done, "the search waits for the writer"
            assert done[0][0].id == number  # what is committed
        assert number not in notes
    notes.verify()


def test_another_writer_is_noticed_before_texts_are_encoded(notes: Collection, model: ColBERT) -> None:
    late = Collection(notes.folder, model, timeout=0.1)

    class Unused:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("encode"):
                raise AssertionError("texts are encoded in vain")
            return getattr(model, name)

    late._parts = replace(late._parts, model=cast("ColBERT", Unused()))
    with notes._writer.transaction():
        start = time.monotonic()
        with pytest.raises(IndexLockedError, match="timeout="):
            late.add(["x"], ["a text"])
        assert time.monotonic() - start < 30


def test_a_writer_waits_for_another(notes: Collection, model: ColBERT) -> None:
    second = Collection(notes.folder, model, timeout=60)
    holding, released = threading.Event(), threading.Event()

    def hold() -> None:
        with notes._writer.transaction():
            holding.set()
            released.wait(timeout=60)

    first = threading.Thread(target=hold)
    first.start()
    holding.wait(timeout=60)
    threading.Timer(0.3, released.set).start()
    second.add(["x"], ["a text"])
    first.join()
    assert "x" in notes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_after_loading_reads_and_writes(notes: Collection) -> None:
    """Web servers load an app and fork; SQLite's connections do not survive that, so each child opens its own."""
    notes.search("text 7")
    child = os.fork()
    if not child:
        status = 1
        try:
            found = notes.search("text 7", k=1, mode="lexical")
            notes.add(["of the child"], ["a text of the child"])
            notes.verify()
            status = 0 if found[0].id == 7 else 2
        finally:
            os._exit(status)
    deadline = time.monotonic() + 120
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ended == (child, 0)
    assert notes.get("of the child").text == "a text of the child"
    notes.verify()


def test_what_fails_while_merging_is_no_error_of_the_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The documents are in: memory that runs out afterwards must not say that they are not."""

    def fails(*_: Any) -> None:
        raise MemoryError("no memory for centroids")

    monkeypatch.setattr(writing, "RECENT_TOKENS", 1)
    monkeypatch.setattr(writer, "merge_segments", fails)
    with indexes.Exact(tmp_path) as index:
        for number, document in enumerate(topical(20)):
            index.add_documents([number], [document])
        assert len(index) == 20
        index.verify()
    assert "costs speed only" in caplog.text


def test_an_add_merges_in_proportion_only_and_compact_does_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes of merging never happen inside a call that adds one document."""
    monkeypatch.setattr(writing, "RECENT_TOKENS", 1)
    monkeypatch.setattr(writer, "MERGED_PER_CALL", 0)
    with indexes.Exact(tmp_path) as index:
        merged = []
        merge = merging.merge_segments

        def counted(storage: Any, parents: Any, base: Any) -> Any:
            merged.append(sum(parent.entry.tokens for parent in parents))
            return merge(storage, parents, base)

        monkeypatch.setattr(writer, "merge_segments", counted)
        for number, document in enumerate(topical(60)):
            merged.clear()
            index.add_documents([number], [document])
            assert sum(merged) <= 8 * len(document)
        index.compact()
        assert len(index._storage.view().segments) == 1


def test_a_failed_write_leaves_nothing_in_memory_or_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "RECENT_TOKENS", 1)
    with indexes.Exact(tmp_path) as index:
        index.add_documents([0], topical(1))
        before = sorted(path.name for path in (tmp_path / "index" / "segments").iterdir())

        def fails(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(writing.Transaction, "finish", fails)
        with pytest.raises(OSError, match="No space left"):
            index.add_documents([1], topical(1, seed=1))
        monkeypatch.undo()
        assert index._storage.opened == {}
        assert sorted(path.name for path in (tmp_path / "index" / "segments").iterdir()) == before
        assert index.ids == [0]


def test_cleaning_up_spares_what_another_writer_is_about_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the commit of one writer and its cleaning up another one begins, and has written a segment."""
    monkeypatch.setattr(writing, "RECENT_TOKENS", 1)
    corpus = topical(3)
    with indexes.Exact(tmp_path) as first, indexes.Exact(tmp_path) as second:
        first.add_documents([0, 1], corpus[:2])
        between = second._writer.transaction()
        begun: list[Any] = []
        clean = first._writer.clean

        def clean_late() -> None:
            begun.append(between.__enter__())
            begun[0].put(Documents([2], corpus[2:]), dim=corpus[2].shape[1], replacing=False)
            clean()

        monkeypatch.setattr(first._writer, "clean", clean_late)
        first.remove_documents([0, 1])  # the segment is no longer named
        assert begun
        between.__exit__(None, None, None)
        assert first.ids == second.ids == [2]
        first.verify()
        with indexes.Exact(tmp_path) as fresh:
            assert fresh.ids == [2]
            fresh.add_documents([3], corpus[:1])
        named = {segment.files.name for segment in first._storage.view().segments}
        assert {path.name for path in (tmp_path / "index" / "segments").iterdir()} == named


def test_an_index_that_is_to_be_replaced_stays_until_the_new_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "RECENT_TOKENS", 1)
    with indexes.Exact(tmp_path) as index:
        index.add_documents([0, 1], topical(2))

    def fails(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, indexes.Exact(tmp_path, override=True) as index:
        patch.setattr(writing.Transaction, "finish", fails)
        with pytest.raises(OSError, match="No space left"):
            index.add_documents([2], topical(1, seed=1))
    with indexes.Exact(tmp_path) as index:
        assert index.ids == [0, 1]
        index.verify()
    with indexes.Exact(tmp_path, override=True) as index:
        index.add_documents([2], topical(1, seed=1))
        assert index.ids == [2]
        index.verify()
        assert len(list((tmp_path / "index" / "segments").iterdir())) == 1


def test_compaction_keeps_no_reader_waiting_and_no_write_is_lost(
    notes: Collection, model: ColBERT, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts are read while the new catalogue is written, and one that is open goes on with the new file."""
    reader, waiting = Collection(notes.folder, model, timeout=0), Collection(notes.folder, model)
    read: list[str] = []
    writers: list[threading.Thread] = []

    def read_meanwhile(path: Path) -> None:
        if path.name == catalogue.VACUUMED:
            read.append(reader.get(7).text)
            writers.append(threading.Thread(target=waiting.add, args=(["late"], ["a late text"])))
            writers[0].start()

    monkeypatch.setattr(catalogue, "fsync_file", read_meanwhile)
    notes.compact()
    assert read == ["text 7"]
    writers[0].join(timeout=60)
    for collection in (notes, reader, waiting):
        assert collection.get("late").text == "a late text"
        assert len(collection) == 20
        collection.verify()
    assert not (notes.folder / catalogue.VACUUMED).exists()


def test_what_an_interrupted_compaction_wrote_is_deleted_by_the_next_writer(notes: Collection) -> None:
    (notes.folder / catalogue.VACUUMED).write_bytes(b"half a catalogue")
    notes.add(["x"], ["a text"])
    assert not (notes.folder / catalogue.VACUUMED).exists()


def test_a_fingerprint_guards_against_vectors_of_another_model(tmp_path: Path) -> None:
    with indexes.Exact(tmp_path, fingerprint="model a") as index:
        index.add_documents([0], topical(1))
    with pytest.raises(IndexMismatchError, match="another model"):
        indexes.Exact(tmp_path, fingerprint="model b")
    assert indexes.Exact(tmp_path).fingerprint == "model a"


def test_settings_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    class Newer(indexes.IVF):
        pass

    with Newer(tmp_path) as index:
        index._kind.settings["beam_width"] = 3
        index.add_documents([0], topical(1))
    with indexes.IVF(tmp_path) as older:
        assert len(older) == 1
        assert "beam_width" not in older._kind.settings
