"""Several processes at one collection, and what stays on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from latelite import Collection
from latelite.errors import IndexWriteError, StoreError
from latelite.models import ColBERT

CREATE_AND_ADD = """
import sys
from latelite import Collection
folder, model, name = sys.argv[1:]
with Collection(folder, model, threads=1) as collection:
    for number in range(5):
        collection.add([f"{name}-{number}"], [f"text {number} of writer {name}"])
"""


def test_eight_processes_create_and_add_and_nothing_is_lost(tmp_path: Path, model: ColBERT) -> None:
    folder = tmp_path / "shared.lt"
    command = [sys.executable, "-c", CREATE_AND_ADD, str(folder), str(model.bundle.folder)]
    writers = [subprocess.Popen([*command, str(name)], stderr=subprocess.PIPE, text=True) for name in range(8)]
    for writer in writers:
        with writer:
            _, errors = writer.communicate(timeout=240)
            assert writer.returncode == 0, errors
    with Collection(folder) as collection:
        assert set(collection.ids) == {f"{name}-{number}" for name in range(8) for number in range(5)}
        collection.verify()


def test_four_threads_with_a_collection_each_add_and_nothing_is_lost(tmp_path: Path, model: ColBERT) -> None:
    def add(name: int) -> None:
        with Collection(tmp_path / "shared.lt", model) as collection:
            for number in range(10):
                collection.add([f"{name}-{number}"], [f"text {number} of writer {name}"])
                assert collection.get(f"{name}-{number}").text.endswith(f"writer {name}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    with Collection(tmp_path / "shared.lt") as collection:
        assert set(collection.ids) == {f"{name}-{number}" for name in range(4) for number in range(10)}
        collection.verify()


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_what_was_removed_is_gone_after_compact_and_the_folder_is_its_owners_alone(
    tmp_path: Path, model: ColBERT
) -> None:
    folder = tmp_path / "private.lt"
    with Collection(folder, model) as collection:
        secrets = [f"secret{number:04d}xyz " * 20 for number in range(40)]
        collection.add(range(80), [*secrets, *("an open text " * 20 for _ in range(40))])
        assert b"secret0007xyz" in contents(folder)
        collection.remove(range(40))
        collection.compact()
        assert b"secret" not in contents(folder)
        assert len(collection) == 40
        collection.verify()
    if os.name != "nt":
        assert folder.stat().st_mode & 0o777 == 0o700


def test_read_only_creates_and_writes_nothing(tmp_path: Path, model: ColBERT) -> None:
    with pytest.raises(StoreError, match="read_only=True creates none"):
        Collection(tmp_path / "none.lt", model, read_only=True)
    assert not list(tmp_path.iterdir())
    with Collection(tmp_path / "notes.lt", model) as collection:
        collection.add([1], ["bread"])
    before = contents(tmp_path)
    with Collection(tmp_path / "notes.lt", read_only=True) as opened:
        assert opened.get(1).text == "bread"
        assert [hit.id for hit in opened.search("bread")] == [1]
        for write in (lambda: opened.add([2], ["x"]), lambda: opened.remove([1]), opened.compact):
            with pytest.raises(IndexWriteError, match="read_only"):
                write()
    assert contents(tmp_path) == before


def test_links_into_a_collection_are_refused_and_never_followed(tmp_path: Path, model: ColBERT) -> None:
    """A tar or a checkout may carry ``segments -> /home/pi``."""
    victim = tmp_path / "home"
    (victim / "00000001-0123abcd").mkdir(parents=True)
    (victim / "00000001-0123abcd" / "thesis.tex").write_text("years of work")
    with Collection(tmp_path / "notes.lt", model) as collection:
        collection.add([1], ["bread"])
        (tmp_path / "notes.lt" / "segments").symlink_to(victim)
        with pytest.raises(StoreError, match="symbolic link"):
            collection.add([2], ["train"])
    assert (victim / "00000001-0123abcd" / "thesis.tex").read_text() == "years of work"


def test_a_bundle_of_links_becomes_real_files(tmp_path: Path, model: ColBERT) -> None:
    bundle = tmp_path / "links"
    bundle.mkdir()
    for path in model.bundle.folder.iterdir():
        (bundle / path.name).symlink_to(path.resolve())
    with Collection(tmp_path / "notes.lt", bundle) as collection:
        collection.add([1], ["bread"])
    copied = list((tmp_path / "notes.lt" / "model").iterdir())
    assert copied
    assert not any(path.is_symlink() or path.stat().st_nlink > 1 for path in copied)
    with Collection(tmp_path / "notes.lt") as again:
        again.verify()


def test_a_backup_while_in_use_is_the_same_collection(tmp_path: Path, model: ColBERT) -> None:
    with Collection(tmp_path / "notes.lt", model) as collection:
        collection.add(range(200), ["a longer text about bread " * 8] * 200)
        collection.add(["recent"], ["one more"])
        collection.backup(tmp_path / "copy.lt")
        with pytest.raises(StoreError, match="new folder"):
            collection.backup(tmp_path / "copy.lt")
        with Collection(tmp_path / "copy.lt") as copy:
            assert copy.ids == collection.ids
            copy.verify()
