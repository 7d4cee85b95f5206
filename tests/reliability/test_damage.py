"""Any byte of any file changed, cut or missing, and folders made by an enemy: a right answer, or one of our errors that
names the file; never another library's, never a hang, and nothing outside the folder is touched.

``LATELITE_DAMAGES=10000`` sets the number of cases; each is generated from its number, so that a failure repeats.
``LATELITE_SEED=1`` takes as many others.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from index_samples import topical
from latelite import Collection, indexes
from latelite.errors import IndexCorruptError, LateliteError, UnknownIdError
from latelite.models import ColBERT
from latelite.storage import writing
from latelite.storage.schema import checksum
from reliability.conftest import SEED

DAMAGES = int(os.environ.get("LATELITE_DAMAGES", "400"))
CORPUS = topical(90)
OPTIONS: dict[str, dict[str, Any]] = {
    "Exact": {},
    "IVF": {"scan_threshold": 100, "n_centroids": 16},
    "HNSW": {"graph_threshold": 100, "threads": 1},
}
SECONDS = 300
"""After which a case hangs."""


class Sample:
    """Something sound: two segments, removed documents and recent ones."""

    def __init__(self, kind: str, folder: Path, bundle: Path) -> None:
        self.kind, self.folder, self.bundle = kind, folder, bundle
        texts = [f"document {number} tells of {number % 7}" for number in range(90)]
        with pytest.MonkeyPatch.context() as patch, self.opened(folder) as made:
            patch.setattr(writing, "RECENT_TOKENS", 200)
            groups = [range(40), range(40, 80), range(80, 84)]
            for ids in groups:
                if kind == "Collection":
                    made.add(ids, [texts[i] for i in ids], [{"year": 2000 + i, "deep": [[i]]} for i in ids])
                else:
                    made.add_documents(ids, [CORPUS[i] for i in ids])
                if ids[0] == 40:
                    (made.remove if kind == "Collection" else made.remove_documents)([3, 4, 41])
            self.answers = self.all_of(made)

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Any]:
        if self.kind == "Collection":
            new = None if (folder / "notes.lt" / "collection.json").exists() else self.bundle
            with Collection(folder / "notes.lt", new, threads=1) as collection:
                yield collection
        else:
            with getattr(indexes, self.kind)(folder, "index", **OPTIONS[self.kind]) as index:
                yield index

    def all_of(self, opened: Any) -> list[Any]:
        """Everything that can be asked."""
        if self.kind == "Collection":
            hits = opened.search("tells of 5", k=5, where={"year": {"$gte": 2010}}, explain=True)
            documents = [(d.id, d.text, d.metadata, v.tobytes()) for d, v in opened.token_vectors()]
            return [opened.ids, hits, documents, opened.count({"year": 2033}), opened.get(7)]
        vectors = [each.tobytes() for each in opened.get_documents_embeddings(opened.ids)]
        return [opened.ids, opened(CORPUS[7], k=5), vectors]

    def use(self, folder: Path) -> list[Any] | None:
        """What is found in a folder that may be damaged: None where one of our errors names it.

        Raises:
            AssertionError: an error of another library, or one that does not say where.
        """
        try:
            with self.opened(folder) as opened:
                with contextlib.suppress(UnknownIdError):  # a lost row: what `verify` has to find
                    self.all_of(opened)
                opened.verify()
                return self.all_of(opened)
        except LateliteError as error:
            if str(folder) not in str(error):
                raise AssertionError(f"the file is not named: {error!r}") from error
        return None


@pytest.fixture(scope="module", params=["Exact", "IVF", "HNSW", "Collection"])
def sample(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bundle: Callable[[str], Path]
) -> Sample:
    if request.param == "HNSW":
        pytest.importorskip("hnswlib")
    return Sample(request.param, tmp_path_factory.mktemp("sound"), bundle("bert-pylate"))


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """Each case may take so long; `cases` starts the clock anew."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still at work after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def cases(sample: Sample, name: str, share: float, memory: Path) -> Iterator[tuple[int, Path, random.Random]]:
    """Copies of the sample, each to be harmed; what lies beside them has to stay as it is."""
    outside = memory / "outside"
    (outside / "00000001-0123abcd").mkdir(parents=True)
    (outside / "00000001-0123abcd" / "segment.safetensors").write_text("years of work")
    (outside / "documents.sqlite").write_bytes(b"not yours")
    before = fingerprint(outside)
    count = int(DAMAGES * share / 4)
    for case in range(SEED * count, (SEED + 1) * count):
        copy = memory / "copy"
        shutil.copytree(sample.folder, copy)
        signal.alarm(SECONDS)
        yield case, copy, random.Random(f"{name} {sample.kind} {case}")
        shutil.rmtree(copy)
        assert fingerprint(outside) == before
        assert sorted(path.name for path in memory.iterdir()) == ["outside"]


def fingerprint(folder: Path) -> list[tuple[str, int, bytes]]:
    paths = sorted(folder.rglob("*"))
    return [(str(p), p.lstat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in paths]


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


def test_damage_is_named_or_does_no_harm(
    sample: Sample, memory: Path, record_property: Callable[[str, object], None]
) -> None:
    noticed = 0
    for case, copy, rng in cases(sample, "damage", 0.6, memory):
        path = damage(copy, rng)
        try:
            found = sample.use(copy)
        except BaseException as error:
            raise AssertionError(f"case {case}, {path}: {error!r}") from error
        noticed += found is None
        if found is not None and path.name == "documents.sqlite" and (not path.exists() or not path.stat().st_size):
            assert found[0] == []  # nothing says that there ever was an index
        elif found is not None and path.name == "collection.json" and not path.exists():
            assert found == sample.answers  # made anew
        elif found is not None:
            assert found == sample.answers, (case, path)
    record_property("cases", int(DAMAGES * 0.6 / 4))
    record_property("noticed", noticed)
    assert noticed > int(DAMAGES * 0.6 / 4) // 3


HOSTILE_VALUES: list[Any] = [
    *(None, 0, -1, 1, 2**31, 2**62, -(2**63), 1e308, float("inf"), "", "x" * 10_000, b"", b"\x00" * 64, b"\xff" * 333),
    *("../../outside", "../outside/00000001-0123abcd", "/etc/passwd", "00000001-0123abcd", "[" * 100_000, "{}", "null"),
    *('{"arrays": {}, "files": {}}', '{"arrays": {"tokens": {"dtype": "i1", "shape": [99999999999], "offset": 4096}}}'),
    *('{"a": 1e999}', '"\\ud800"', "1" * 5000, "true", '{"$gte": 1}'),
]
"""What someone may write into the catalogue."""


def harm(folder: Path, rng: random.Random) -> str:
    """Do what no accident does; returns what."""
    top = folder / "notes.lt" if (folder / "notes.lt").exists() else folder / "index"
    paths = sorted(path for path in top.rglob("*"))
    what = rng.choice(["link", "pipe", "folder", "row", "row", "row", "row", "row", "schema", "swap", "folder link"])
    path = rng.choice(paths)
    catalogue = next(folder.rglob("documents.sqlite"))
    if what in ("row", "schema"):
        return rewrite(catalogue, rng) if what == "row" else program(catalogue, rng)
    if what == "swap":  # one sound file in the place of another
        other = rng.choice([each for each in paths if each.is_file()])
        path = rng.choice([each for each in paths if each.is_file() and each.name != other.name])
        path.write_bytes(other.read_bytes())
        return f"{path} is {other}"
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        outside = folder.parent / "outside"
        path.symlink_to(outside if what == "folder link" else outside / "documents.sqlite")
    return f"{path} is a {what}"


def rewrite(catalogue: Path, rng: random.Random) -> str:
    """Another value in a row, with the checksum that belongs to it."""
    with contextlib.closing(sqlite3.connect(catalogue, isolation_level=None)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        table = rng.choice(tables)
        rows = connection.execute(f"SELECT rowid, * FROM {table}").fetchall()
        if not rows:
            return "nothing"
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        row = list(rng.choice(rows))
        place = rng.randrange(len(names))
        value = rng.choice(HOSTILE_VALUES)
        row[1 + place] = value
        if names[-1] == "checksum" and place != len(names) - 1:
            with contextlib.suppress(UnicodeError):
                row[-1] = checksum(*row[1:-1])
        with contextlib.suppress(sqlite3.Error, OverflowError):  # a constraint, or no value of SQLite's
            connection.execute(
                f"UPDATE {table} SET {names[place]} = ?, {names[-1]} = ? WHERE rowid = ?",
                (row[1 + place], row[-1], row[0]),
            )
        return f"{table}.{names[place]} = {str(value)[:60]!r}"


def program(catalogue: Path, rng: random.Random) -> str:
    """Something in the schema that runs by itself."""
    statement = rng.choice(
        [
            "CREATE TRIGGER t AFTER INSERT ON documents BEGIN DELETE FROM texts; END",
            "CREATE VIEW v AS SELECT load_extension('/tmp/x')",
            "DROP TABLE removed",
            "ALTER TABLE documents ADD COLUMN more",
            "CREATE INDEX i ON documents (abs(length(metadata)))",
            "PRAGMA user_version = 77",
            "PRAGMA application_id = 1",
            "DELETE FROM state",
            "PRAGMA journal_mode = WAL",
        ]
    )
    with contextlib.closing(sqlite3.connect(catalogue, isolation_level=None)) as connection:
        connection.execute(statement)
    return statement


def test_hostile_folders_are_refused_or_harmless(
    sample: Sample, memory: Path, record_property: Callable[[str, object], None]
) -> None:
    for case, copy, rng in cases(sample, "hostile", 0.4, memory):
        what = harm(copy, rng)
        try:
            sample.use(copy)
            with contextlib.suppress(LateliteError), sample.opened(copy) as opened:  # writing is no way out, either
                opened.compact()
        except BaseException as error:
            raise AssertionError(f"case {case}, {what}: {error!r}") from error
    record_property("cases", int(DAMAGES * 0.4 / 4))


def odd_ids(count: int) -> list[str | int]:
    rng = random.Random(count)
    plain = [
        "",
        " ",
        "\x00",
        "a\x00b",
        "\ud800",
        "\udfff\ud800",
        "\n",
        "'",
        '"',
        "%",
        "../..",
        "1",
        "١",
        "é",
        "e\u0301",
    ]
    numbers = [0, 1, -1, 2**63 - 1, 2**63, -(2**200), 10**300]
    made = ["".join(chr(rng.randrange(0x110000)) for _ in range(rng.randrange(1, 30))) for _ in range(count)]
    return list(dict.fromkeys([*plain, *numbers, *made]))


def test_odd_ids_are_ids(tmp_path: Path) -> None:
    ids = odd_ids(DAMAGES // 10)
    with indexes.Exact(tmp_path, "index") as index:
        index.add_documents(ids, [CORPUS[number % 90] for number in range(len(ids))])
        index.compact()
        index.verify()
    with indexes.Exact(tmp_path, "index") as index:
        assert index.ids == ids
        assert all(id_ in index for id_ in ids)
        index.remove_documents(ids[::2])
        assert index.ids == ids[1::2]
        index.verify()


@pytest.mark.parametrize("kind", ["Exact", "IVF"])
def test_a_merge_refuses_damage_and_names_the_documents(kind: str, tmp_path: Path, model: ColBERT) -> None:
    Sample(kind, tmp_path / "copy", model.bundle.folder)
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


def test_vectors_of_a_damaged_document_are_not_handed_out(tmp_path: Path, model: ColBERT) -> None:
    Sample("Exact", tmp_path / "copy", model.bundle.folder)
    path = next((tmp_path / "copy").rglob("*.safetensors"))
    with indexes.Exact(tmp_path / "copy", "index") as index:
        ids = index.ids
    data = np.fromfile(path, np.uint8)
    data[4096 : 4096 + 64] ^= 255
    data.tofile(path)
    with indexes.Exact(tmp_path / "copy", "index") as index, pytest.raises(IndexCorruptError, match="damaged"):
        index.get_documents_embeddings(ids)
