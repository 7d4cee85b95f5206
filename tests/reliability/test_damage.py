"""Any byte of any file changed, cut or missing: a right answer or one of our errors, never another library's.

``LATELITE_DAMAGES=10000`` sets the number of cases; each is generated from its number, so that a failure repeats.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index_samples import topical
from latelite import indexes
from latelite.errors import IndexCorruptError, LateliteError
from latelite.storage import writing

DAMAGES = int(os.environ.get("LATELITE_DAMAGES", "300"))
CORPUS = topical(90)
KINDS = {"Exact": {}, "IVF": {"scan_threshold": 100, "n_centroids": 16}}


@pytest.fixture(scope="module", params=KINDS)
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An index with two segments, removed documents and recent ones."""
    folder = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "RECENT_TOKENS", 200)
        with getattr(indexes, request.param)(folder, "index", **KINDS[request.param]) as index:
            index.add_documents(range(40), CORPUS[:40])
            index.add_documents(range(40, 80), CORPUS[40:80])
            index.remove_documents([3, 4, 41])
            index.add_documents(range(80, 84), CORPUS[80:84])
        yield request.param, folder


def damage(folder: Path, rng: random.Random) -> Path:
    """Flip a bit, write some bytes, cut, empty or delete one file; returns which."""
    path = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    data = bytearray(path.read_bytes())
    how = rng.choice(["flip", "flip", "flip", "write", "cut", "delete", "append"])
    place = rng.randrange(len(data))
    if how == "flip":
        data[place] ^= 1 << rng.randrange(8)
    elif how == "write":
        data[place : place + 64] = rng.randbytes(64)
    elif how == "cut":
        del data[place:]
    elif how == "append":
        data += rng.randbytes(100)
    path.write_bytes(data)
    if how == "delete":
        path.unlink()
    return path


def test_damage_is_named_or_does_no_harm(sound: tuple[str, Path], tmp_path: Path) -> None:
    kind, folder = sound
    with getattr(indexes, kind)(folder, "index") as index:
        ids = index.ids
        expected = index(CORPUS[7], k=5)
        vectors = index.get_documents_embeddings(ids)
    noticed = 0
    for case in range(DAMAGES // len(KINDS)):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        path = damage(copy, random.Random(f"{kind} {case}"))
        try:
            with getattr(indexes, kind)(copy, "index") as index:
                index(CORPUS[7], k=5)
                index.verify()
                found = index.ids, index(CORPUS[7], k=5), index.get_documents_embeddings(index.ids)
        except LateliteError as error:
            noticed += 1
            if str(copy) not in str(error):
                pytest.fail(f"case {case}, {path}: the file is not named: {error}")
            continue
        except Exception as error:  # noqa: BLE001
            pytest.fail(f"case {case}, {path}: {error!r}")
        if path.name == "documents.sqlite" and (not path.exists() or not path.stat().st_size):
            assert found[0] == []  # nothing says that there ever was an index
            continue
        assert found[:2] == (ids, expected), (case, path)
        assert all(np.array_equal(a, b) for a, b in zip(found[2], vectors, strict=True)), (case, path)
    assert noticed > DAMAGES // len(KINDS) // 3


def test_a_merge_refuses_damage_and_names_the_documents(sound: tuple[str, Path], tmp_path: Path) -> None:
    kind, folder = sound
    shutil.copytree(folder, tmp_path / "copy")
    path = next((tmp_path / "copy").rglob("*.safetensors"))
    with getattr(indexes, kind)(tmp_path / "copy", "index") as index:
        files = next(s.files for s in index._storage.view().segments if s.files.arrays.path == path)
        place = files.arrays.layout["tokens"].offset + int(files.offsets[7]) * files.dim * files.tokens.itemsize
        hit = index.ids.index(int(files.numbers[7]) - 1)
        name = index.ids[hit]
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
    with getattr(indexes, kind)(tmp_path / "copy", "index") as index:
        for check in (index.verify, index.compact, index.verify):  # the damage is not made to look sound
            with pytest.raises(IndexCorruptError, match=rf"document {name} changed"):
                check()
        index.remove_documents([name])  # which is what the message says
        index.compact()
        index.verify()
