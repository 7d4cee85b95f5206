"""A long write rests while other threads search, and is never held up for good."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from index_samples import documents
from latelite import indexes
from latelite.storage import priority
from latelite.storage.snapshot import Snapshot


@pytest.fixture(autouse=True)
def slices(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the time that a write may work before it rests."""
    monkeypatch.setattr(priority, "SLICE", 0.0)
    yield
    assert not priority._running


class Rests:
    """Takes the place of what a thread knows of its rests, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def rested(self) -> float:
        return 0.0

    @rested.setter
    def rested(self, ended: float) -> None:
        self.count += 1


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> Rests:
    counted = Rests()
    monkeypatch.setattr(priority, "_slices", counted)
    return counted


@pytest.fixture
def searcher() -> Iterator[None]:
    """Another thread that searches all the time."""
    searching, done = threading.Event(), threading.Event()

    def search() -> None:
        with priority.searching():
            searching.set()
            done.wait(60)

    thread = threading.Thread(target=search)
    thread.start()
    searching.wait()
    yield
    done.set()
    thread.join()


def test_without_a_search_nothing_rests(rests: Rests) -> None:
    priority.rest()
    assert not rests.count


def test_a_search_does_not_wait_for_itself(rests: Rests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "LONGEST_REST", 60.0)
    with priority.searching():
        priority.rest()
    assert rests.count == 1  # and at once, or the test would take a minute


def test_a_write_rests_until_the_search_is_over_and_not_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "LONGEST_REST", 60.0)
    rested = threading.Event()

    def write() -> None:
        priority.rest()
        rested.set()

    with priority.searching():
        writer = threading.Thread(target=write)
        writer.start()
        assert not rested.wait(0.1)
        following = priority.searching()
        following.__enter__()
    try:
        assert rested.wait(30)
    finally:
        following.__exit__(None, None, None)
        writer.join()


@pytest.mark.usefixtures("searcher")
def test_a_write_goes_on_beside_a_search_without_an_end() -> None:
    start = time.monotonic()
    priority.rest()
    assert time.monotonic() - start >= priority.LONGEST_REST


@pytest.mark.usefixtures("searcher")
def test_a_write_works_for_a_slice_between_two_rests(rests: Rests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "SLICE", time.thread_time() + 60)
    priority.rest()
    assert not rests.count


@pytest.mark.parametrize("kind", ["Exact", "IVF"])
def test_a_merge_rests_between_its_steps(
    kind: str, tmp_path: Path, rests: Rests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between blocks, not once for all; and whatever reads the index counts as a search."""
    index = getattr(indexes, kind)(tmp_path, **({"scan_threshold": 1} if kind == "IVF" else {}))
    for start in range(0, 1200, 400):
        index.add_documents(range(start, start + 400), documents(400, seed=start, longest=80))
    monkeypatch.setattr(priority, "LONGEST_REST", 0.0)
    compacting = threading.Thread(target=index.compact)

    def answered(view: Snapshot) -> None:
        compacting.start()
        compacting.join()

    index._storage.read(answered)
    assert rests.count > 10
    index.close()
