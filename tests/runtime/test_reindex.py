"""Reindexing a collection keeps all its contents, and no intermediate state is visible."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite import Collection, collection_folder, reindexing
from latelite.errors import IndexWriteError
from latelite.models import ColBERT
from latelite.storage.writer import Writer

WORDS = ["bread", "rye", "train", "north", "oven", "sun", "garden", "tax", "wind", "brick", "heat", "seven"]
KINDS = ["Exact", "IVF", "HNSW"]


def texts(count: int) -> list[str]:
    random = np.random.default_rng(7)
    return [f"{' '.join(random.choice(WORDS, 6))} {number}" for number in range(count)]


@pytest.fixture
def notes(tmp_path: Path, model: ColBERT) -> Collection:
    collection = Collection(tmp_path / "notes.lt", model)
    collection.add(list(range(60)), texts(60), [{"n": n} for n in range(60)])
    collection.add([3, 4], ["the third again", "the fourth again"], [{"n": 3}, {"n": 4}])
    collection.remove([5, 6])
    collection.index_metadata("n")
    return collection


def content(collection: Collection) -> list[Any]:
    return [(document.id, document.text, dict(document.metadata)) for document in collection]


@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_takes_the_stored_vectors(notes: Collection, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "HNSW":
        pytest.importorskip("hnswlib")
    before, hits = content(notes), notes.search("bread in the oven", k=60)
    vectors = [found for _, found in notes.token_vectors()]
    monkeypatch.setattr(ColBERT, "encode_document", None)
    notes.reindex(index=kind)
    assert notes.index_kind == kind
    assert content(notes) == before
    with Collection(notes.folder) as again:
        assert again.index_kind == kind
        assert content(again) == before
        again.verify()
        assert [hit.id for hit in again.search("bread in the oven", k=60)] == [hit.id for hit in hits]
        for (_, new), old in zip(again.token_vectors(), vectors, strict=True):
            np.testing.assert_allclose(new, old, atol=0.01)


def test_settings_of_a_kind_are_recorded(notes: Collection) -> None:
    notes.reindex(index_settings={"n_probe": 7, "scan_threshold": 100, "n_centroids": 16})
    assert notes.index_settings["n_probe"] == 7
    with Collection(notes.folder) as again:
        assert again.index_settings["n_probe"] == 7
        assert again.index_settings["n_centroids"] == 16
        assert len(again.search("bread", k=5)) == 5
    notes.reindex(index="Exact")
    notes.reindex(index="IVF")
    assert notes.index_settings["n_probe"] == 20


def test_pooling_is_done_from_the_texts(notes: Collection) -> None:
    before, tokens = content(notes), notes.tokens
    notes.reindex(pool_factor=2)
    assert notes.pool_factor == 2
    assert notes.tokens < 0.7 * tokens
    assert content(notes) == before
    assert notes.search("bread", k=3, explain=True)[0].matches
    notes.reindex(pool_factor=1)
    assert content(notes) == before
    with Collection(notes.folder.parent / "fresh.lt", notes.model) as fresh:
        fresh.add_documents(notes)
        for (one, left), (other, right) in zip(notes.token_vectors(), fresh.token_vectors(), strict=True):
            assert one == other
            np.testing.assert_allclose(left, right, atol=0.01)


def test_another_model(notes: Collection, bundle: Callable[[str], Path]) -> None:
    other = bundle("bert-prompts")
    before, fingerprint = content(notes), notes.model.manifest.fingerprint
    notes.reindex(model=other)
    assert notes.model.manifest.fingerprint != fingerprint
    assert content(notes) == before
    with Collection(notes.folder) as again, Collection(notes.folder.parent / "fresh.lt", other) as fresh:
        again.verify()
        fresh.add_documents(notes)
        assert [(h.id, round(h.score, 3)) for h in again.search("bread", k=9)] == [
            (h.id, round(h.score, 3)) for h in fresh.search("bread", k=9)
        ]
    assert not (notes.folder / collection_folder.REINDEXED).exists()


def test_indexes_on_metadata_and_what_is_known_of_files_stay(notes: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "one.txt").write_text("The kiln is fired with beech wood.\n")
    (folder / "two.txt").write_text("The clay comes from the river.\n")
    notes.add_files(folder)
    notes.reindex(pool_factor=2)
    with sqlite3.connect(notes.folder / "documents.sqlite") as connection:
        indexes = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'").fetchall()
    assert ("metadata of n",) in indexes
    report = notes.add_files(folder)
    assert (report.added, report.removed) == (0, 0)
    (folder / "two.txt").unlink()
    assert notes.add_files(folder).removed == 1
    assert notes.count({"n": {"$lt": 10}}) == 8


def test_whoever_has_it_open_goes_on(notes: Collection, bundle: Callable[[str], Path]) -> None:
    with Collection(notes.folder) as reader, Collection(notes.folder, read_only=True) as other:
        before = content(reader)
        notes.reindex(model=bundle("bert-prompts"), index="Exact")
        for each in (reader, other):
            assert content(each) == before
            assert [h.id for h in each.search("bread", k=5)] == [h.id for h in notes.search("bread", k=5)]
            assert each.index_kind == "Exact"
        reader.add(["new"], ["a new one about bread"])
    assert "new" in notes
    notes.verify()


def test_answers_are_the_old_ones_until_the_end_and_writing_goes_on(
    notes: Collection, bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindexing, "_FEW", 8)
    old = [(hit.id, hit.score) for hit in notes.search("bread", k=5)]
    seen: list[list[tuple[int | str, float]]] = []
    with Collection(notes.folder) as writer:

        def step(count: int) -> None:
            if not seen:
                seen.append([(hit.id, hit.score) for hit in writer.search("bread", k=5)])
                writer.add([1, "late"], ["the first again", "a late one"])
                writer.remove([2])
                writer.update_metadata([7], [{"n": "changed"}])

        notes.reindex(model=bundle("bert-prompts"), on_progress=step)
        assert seen == [old]
        assert content(writer) == content(notes)
    assert 2 not in notes
    assert notes.get(1).text == "the first again"
    assert notes.get("late").text == "a late one"
    assert notes.get(7).metadata == {"n": "changed"}
    assert [document.id for document in notes][-2:] == [1, "late"]
    notes.verify()


def test_another_thread_of_the_same_object_goes_on(notes: Collection) -> None:
    stop, errors = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                assert len(notes.search("bread", k=5)) == 5
            except Exception as error:  # noqa: BLE001
                errors.append(error)
                return

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for kind in ("Exact", "IVF", "Exact"):
        notes.reindex(index=kind, pool_factor=2 if kind == "IVF" else None)
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize("options", [{"index": "Annoy"}, {"pool_factor": 0}, {"index_settings": {"M": 3}}])
def test_what_makes_no_sense_is_refused(notes: Collection, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"index|pool_factor|setting"):
        notes.reindex(**options)


def test_a_read_only_collection_is_not_reindexed(notes: Collection) -> None:
    with Collection(notes.folder, read_only=True) as reader, pytest.raises(IndexWriteError):
        reader.reindex(index="Exact")
    assert notes.index_kind == "IVF"


def test_an_empty_collection_can_be_reindexed(tmp_path: Path, model: ColBERT, bundle: Callable[[str], Path]) -> None:
    with Collection(tmp_path / "empty.lt", model) as empty:
        empty.reindex(index="Exact", model=bundle("bert-prompts"))
        empty.add(["a"], ["bread"])
    with Collection(tmp_path / "empty.lt") as again:
        assert again.search("bread")[0].id == "a"
        assert again.index_kind == "Exact"


@pytest.mark.parametrize("place", ["_encode_documents", "_copy_others", "_commit", "finish_reindexing"])
def test_whatever_stops_it_leaves_one_whole_collection(
    notes: Collection, bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    before = content(notes)
    calls = 0

    def fails(*arguments: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if place != "finish_reindexing" or calls == 2:  # the first only looks for an earlier one
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reindexing, place, fails)
        with pytest.raises(KeyboardInterrupt):
            notes.reindex(model=bundle("bert-prompts"), pool_factor=2)
    committed = place == "finish_reindexing"
    with Collection(notes.folder, read_only=True) as reader:
        assert reader.pool_factor == (2 if committed else 1)
        assert content(reader) == before
        assert len(reader.search("bread", k=5)) == 5
    with Collection(notes.folder) as again:
        assert content(again) == before
        again.verify()
        again.reindex(model=bundle("bert-prompts"), pool_factor=2)
        assert again.pool_factor == 2
        assert content(again) == before
    assert not (notes.folder / collection_folder.REINDEXED).exists()


def test_an_interrupted_encoding_is_gone_on_with(notes: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latelite.texts.GROUP_DOCUMENTS", 10)
    monkeypatch.setattr("latelite.texts._ENCODED_AT_ONCE", 10)
    done: list[int] = []

    def stop(count: int) -> None:
        done.append(count)
        if sum(done) >= 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        notes.reindex(pool_factor=2, on_progress=stop)
    rest: list[int] = []
    notes.reindex(pool_factor=2, on_progress=rest.append)
    assert sum(rest) == len(notes) - 20
    assert notes.pool_factor == 2
    notes.verify()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_killed_process_leaves_one_whole_collection(notes: Collection, bundle: Callable[[str], Path]) -> None:
    other = bundle("bert-prompts")
    before = content(notes)
    notes.close()
    random = np.random.default_rng(11)
    for _ in range(8):
        child = os.fork()
        if not child:
            try:
                with Collection(notes.folder, threads=1) as collection:
                    kind = "Exact" if collection.index_kind == "IVF" else "IVF"
                    collection.reindex(model=other, index=kind, pool_factor=1 + (collection.pool_factor == 1))
            finally:
                os._exit(0)
        time.sleep(float(random.uniform(0.02, 0.6)))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with Collection(notes.folder) as collection:
            assert content(collection) == before
            assert len(collection.search("bread", k=5)) == 5
            collection.verify()


def test_a_writer_that_waited_writes_into_the_new_catalogue(notes: Collection) -> None:
    """It must not write into the old one, which has no name any more."""
    with Collection(notes.folder) as writer, notes._storage.catalogue.writing():
        started = threading.Event()
        errors: list[BaseException] = []

        def write() -> None:
            started.set()
            try:
                with Writer(writer._storage).transaction() as transaction:
                    transaction.remove([1])
            except Exception as error:  # noqa: BLE001
                errors.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        started.wait()
        time.sleep(0.2)
        copy = notes.folder / "copy"
        with sqlite3.connect(copy) as copied, notes._storage.reading() as connection:
            assert connection is not None
            connection.backup(copied)
        copy.replace(notes.folder / "documents.sqlite")
    thread.join()
    assert not errors
    with Collection(notes.folder) as again:
        assert 1 not in again
