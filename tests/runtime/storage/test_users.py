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
from latelite.models import ColBERT
from latelite.storage import merging, writer, writing


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
