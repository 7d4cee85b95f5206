"""Opening, replacing and closing: what every kind of index promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from index_kinds import Make, fill
from index_samples import DIM, documents
from latelite import indexes
from latelite.errors import IndexMismatchError, IndexVersionError, StoreError, UnknownIdError


def test_opens_what_is_there(make: Make) -> None:
    with make(embedding_size=DIM, fingerprint="model-1") as index:
        corpus = fill(index)
        before = index(corpus[:3], k=5)
    with make() as again:
        assert again(corpus[:3], k=5) == before
        assert again.embedding_size == DIM
        assert again.fingerprint == "model-1"
    with make(fingerprint="model-1", embedding_size=DIM) as again:
        assert len(again) == 60
    with pytest.raises(IndexMismatchError, match="another model"):
        make(fingerprint="model-2")
    with pytest.raises(IndexMismatchError, match="dimension 16, not 17"):
        make(embedding_size=17)


def test_dimension_given_beforehand_binds_the_first_add(make: Make) -> None:
    with make(embedding_size=DIM + 1) as index, pytest.raises(IndexMismatchError, match="dimension 16"):
        index.add_documents([1], documents(1))
    with pytest.raises(ValueError, match="embedding_size"):
        make(embedding_size=0)


def test_override_keeps_the_old_index_until_the_first_publish(make: Make) -> None:
    with make() as old:
        fill(old)
        with make(override=True, fingerprint="new", embedding_size=8) as index:
            assert len(index) == 0
            assert index(documents(1, dim=8)) == [[]]
            assert len(old) == 60
            assert index.ids == []
            with pytest.raises(UnknownIdError):
                index.remove_documents([1])
            assert len(old) == 60
            index.add_documents(["only"], documents(1, dim=8))
            assert index.ids == ["only"]
            index.verify()
        assert old.ids == ["only"]
    with make() as again:
        assert again.ids == ["only"]


def test_another_kind_of_index_is_refused(tmp_path: Path) -> None:
    with indexes.HNSW(tmp_path, "index") as index:
        index.add_documents([1], documents(1))
    with pytest.raises(IndexVersionError, match="kind 'hnsw', not 'exact'"):
        indexes.Exact(tmp_path, "index")
    with indexes.Exact(tmp_path, "index", override=True) as index:
        index.add_documents([2], documents(1))
    with pytest.raises(IndexVersionError, match="kind 'exact', not 'hnsw'"):
        indexes.HNSW(tmp_path, "index")
    with pytest.raises(IndexMismatchError, match="int8 vectors, not float32"):
        indexes.Exact(tmp_path, "index", store="float32")


def test_a_folder_with_other_things_is_neither_used_nor_touched(make: Make, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "thesis.tex").write_text("years of work")
    for override in (False, True):
        with pytest.raises(StoreError, match=r"not a latelite index.*thesis\.tex"):
            make(override=override)
    assert (tmp_path / "index" / "thesis.tex").read_text() == "years of work"


def test_a_file_in_the_place_of_the_index(make: Make, tmp_path: Path) -> None:
    (tmp_path / "index").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        make()


def test_foreign_files_beside_an_index_survive_override(make: Make, tmp_path: Path) -> None:
    with make() as index:
        fill(index, 20)
    note = tmp_path / "index" / "note.txt"
    note.write_text("keep me")
    with make(override=True) as index:
        fill(index, 20)
        index.compact()
    assert note.read_text() == "keep me"


@pytest.mark.parametrize("name", ["", "a/b", "..", "."])
def test_refuses_names_that_are_not_one_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="index_name"):
        indexes.Exact(tmp_path, name)


def test_closed(make: Make) -> None:
    index = make()
    fill(index, 20)
    index.close()
    index.close()
    for use in (lambda: len(index), lambda: index(documents(1)), lambda: index.add_documents([9], documents(1))):
        with pytest.raises(StoreError, match="closed"):
            use()


NEVER_CLOSED = """
import os, sys
import numpy as np
from latelite import indexes

index = indexes.IVF(sys.argv[1], "index")
index.add_documents(["a", "b"], [np.eye(3, 8, dtype=np.float32)] * 2)
again = indexes.IVF(sys.argv[1], "index")
del index
child = os.fork()
if not child:
    again = None  # the parent's connections are not the child's to close
    os._exit(0)  # as multiprocessing ends its children
assert os.waitpid(child, 0)[1] == 0
assert len(again(np.eye(2, 8, dtype=np.float32)[None], k=2)[0]) == 2
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_an_index_that_nobody_closes_says_nothing(tmp_path: Path) -> None:
    """From Python 3.13 on an open database that is forgotten would warn; PyLate's shape has no call that closes."""
    command = [sys.executable, "-W", "error", "-c", NEVER_CLOSED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
