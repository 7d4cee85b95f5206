"""A collection indexed anew: another model, pooling or kind of index, from the texts and vectors that it holds.

The new index is built in the folder ``reindexed`` of the collection, a collection of its own, with the same numbers
for the same documents. Searches go on in the old one. Where texts are encoded, so does writing: what was added, removed
or renamed meanwhile is caught up with, the last of it while writers wait. The commit is one ``rename``, which puts the
new catalogue in the place of the old one; the segments that it names lie where they belong by then. Header and model
follow (`latelite.collection_folder.finish_reindexing`), also after a crash.

Whoever is killed before the commit leaves the collection as it was, and a folder that the next call with the same
settings goes on with.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from latelite.collection_folder import HEADER_NAME, REINDEXED, Header, create, finish_reindexing
from latelite.errors import DuplicateIdError, LateliteError, StoreError
from latelite.files import fsync_folder
from latelite.indexes import IndexKind, make_kind
from latelite.models import ColBERT
from latelite.opening import Options, Parts, check_pool_factor, header_of, load_model
from latelite.progress import Progress
from latelite.storage.catalogue import CATALOGUE
from latelite.storage.folders import delete_folder, make_folder, refuse_link
from latelite.storage.identifiers import decoded_id
from latelite.storage.merging import merge_segments
from latelite.storage.pooling import TABLE as POOLING
from latelite.storage.schema import SCHEMA, checksum
from latelite.storage.segments import SEGMENTS, SegmentEntry
from latelite.storage.snapshot import OpenSegment, Snapshot
from latelite.storage.storage import Storage
from latelite.storage.turn import turn
from latelite.storage.writer import Writer
from latelite.texts import Text, encoded_groups

logger = logging.getLogger(__name__)

_PASSES = 8
"""Times that it catches up with writers before it makes them wait."""
_FEW = 64
"""Documents that they wait for."""
_READ_AT_ONCE = 64
_ORIGIN = "reindexed_from"
"""Table of the unfinished new catalogue: the identity of the index that its numbers are of."""


@dataclass(frozen=True)
class Target:
    """What the collection is to become."""

    model: ColBERT
    kind: IndexKind
    header: Header

    @classmethod
    def of(
        cls,
        parts: Parts,
        options: Options,
        index: str | None,
        index_settings: Mapping[str, int] | None,
        pool_factor: int | None,
        model: str | Path | ColBERT | None,
    ) -> Target:
        """The collection as it is, but for what is asked for; raises as `latelite.Collection.reindex`."""
        check_pool_factor(pool_factor)
        name = index or parts.header.index
        kept = parts.kind.parameters() if name == parts.header.index else {}
        kept = {setting: value for setting, value in kept.items() if value is not None}
        kind = make_kind(name, {**kept, **(index_settings or {})})
        loaded = parts.model if model is None else load_model(model, options)
        return cls(loaded, kind, header_of(loaded, name, pool_factor or parts.header.pool_factor))


def reindex(
    parts: Parts,
    target: Target,
    timeout: float,
    show_progress_bar: bool | None,
    on_progress: Callable[[int], object] | None,
) -> None:
    """Index a collection anew, and commit that; with the model and pooling that it has from the stored vectors.

    Raises:
        IndexLockedError: another process is writing, or indexing, for more than ``timeout`` seconds.
        IndexWriteError: disk full or no permission; the collection is unchanged.
        IndexCorruptError: what the collection holds is damaged.
    """
    storage = parts.storage
    before, after = [(h.fingerprint, h.pool_factor) for h in (parts.header, target.header)]
    shown = False if on_progress is not None or before == after else show_progress_bar
    with (
        turn(storage.folder, timeout=timeout, on_wait=lambda: None),
        Progress("reindexing", total=len(storage.view()), enabled=shown) as bar,
    ):
        _build(storage, target, encoding=before != after, timeout=timeout, advance=on_progress or bar.advance)
    Writer(storage).clean()


def _build(
    storage: Storage, target: Target, *, encoding: bool, timeout: float, advance: Callable[[int], object]
) -> None:
    folder = storage.folder
    aside = folder / REINDEXED
    refuse_link(aside)
    Writer(storage).check_possible()
    finish_reindexing(folder, timeout=timeout)
    identity = storage.refresh().identity
    _prepare(aside, target, identity if encoding else None)
    fresh = Storage(
        aside,
        target.kind,
        dim=target.model.dim,
        fingerprint=target.header.fingerprint,
        lexical=True,
        timeout=timeout,
    )
    try:
        if not len(storage.view()):
            encoding = True  # there are no vectors to take
        if encoding:
            _encode(storage, fresh, target, identity, advance)
        else:
            _rebuild(storage, fresh)
    finally:
        fresh.close()
    finish_reindexing(folder, timeout=timeout)


def _prepare(aside: Path, target: Target, identity: str | None) -> None:
    """An empty new collection, or the one that an earlier call for the same left behind."""
    if identity is not None and _is_left_over(aside, target, identity):
        logger.info("going on with what was indexed into %s before", aside)
        return
    (aside / HEADER_NAME).unlink(missing_ok=True)  # first, since a folder with it and without a catalogue is committed
    if aside.exists():
        delete_folder(aside)
    if aside.exists():
        raise StoreError(f"{aside}, which an earlier call left behind, cannot be deleted; delete it yourself.")
    create(aside, target.model.bundle, target.model.precision, target.header, timeout=1)
    if identity is not None:
        with contextlib.closing(sqlite3.connect(aside / CATALOGUE)) as connection, connection:
            connection.execute(f"CREATE TABLE {_ORIGIN} (identity TEXT, settings TEXT)")
            connection.execute(f"INSERT INTO {_ORIGIN} VALUES (?, ?)", (identity, repr(target.kind.settings)))


def _is_left_over(aside: Path, target: Target, identity: str) -> bool:
    """Whether an earlier call with the same settings was interrupted, and what it wrote can be used."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{aside / CATALOGUE}?mode=ro", uri=True)) as connection:
            origin = connection.execute(f"SELECT identity, settings FROM {_ORIGIN}").fetchone()
        return replace(Header.read(aside), manifest=None) == target.header and origin == (
            identity,
            repr(target.kind.settings),
        )
    except (LateliteError, sqlite3.Error, OSError):
        return False


# ---------------------------------------------------------------------------------------------------- texts are encoded


def _encode(storage: Storage, fresh: Storage, target: Target, identity: str, advance: Callable[[int], object]) -> None:
    """Encode all texts, catch up with writers, and commit."""
    writer = Writer(fresh)
    for _ in range(_PASSES):
        missing = _synchronised(storage, fresh, writer)
        if len(missing) <= _FEW:
            break
        with contextlib.suppress(DuplicateIdError):  # ids changed places since: the next pass knows
            _encode_documents(storage, writer, missing, target, advance)
    with storage.catalogue.writing():
        _encode_documents(storage, writer, _synchronised(storage, fresh, writer), target, advance)
        with writer.transaction() as transaction:
            transaction.connection.execute(f"DROP TABLE IF EXISTS {_ORIGIN}")
            with storage.reading() as connection:
                assert connection is not None
                _copy_others(connection, transaction.connection)
        _commit(storage, fresh)


def _synchronised(storage: Storage, fresh: Storage, writer: Writer) -> list[int]:
    """Give the new documents the ids and metadata of the old ones, and remove those that are gone.

    Returns the numbers of the documents that are still to be encoded, ascending.
    """
    with storage.reading() as connection:
        rows = [] if connection is None else connection.execute("SELECT number, id, metadata FROM documents").fetchall()
    wanted = {number: (id_, metadata) for number, id_, metadata in rows}
    with writer.transaction() as transaction:
        query = "SELECT number, id, metadata FROM documents"
        known = {number: (id_, metadata) for number, id_, metadata in transaction.connection.execute(query)}
        if gone := [decoded_id(known[number][0]) for number in known if number not in wanted]:
            transaction.remove(gone)
        changed = [(n, *wanted[n]) for n, label in known.items() if n in wanted and wanted[n] != label]
        if changed:
            transaction.relabel(changed)
    fresh.refresh()
    return sorted(set(wanted) - set(known))


def _encode_documents(
    storage: Storage, writer: Writer, missing: Sequence[int], target: Target, advance: Callable[[int], object]
) -> None:
    """Encode documents of these numbers; those that are removed meanwhile are left out."""
    numbers: list[int] = []
    texts = _texts(storage, missing, numbers)
    for group in encoded_groups(target.model, texts, pool_factor=target.header.pool_factor, advance=advance):
        with writer.transaction() as transaction:
            transaction.put(group, dim=target.model.dim, replacing=False, numbers=numbers[: len(group.texts)])
        del numbers[: len(group.texts)]
        writer.tidy(group.tokens)
        del group  # before the next is encoded


def _texts(storage: Storage, missing: Sequence[int], numbers: list[int]) -> Iterator[Text]:
    """The texts of documents; their numbers are appended to ``numbers`` as they come."""
    for start in range(0, len(missing), _READ_AT_ONCE):
        for row in storage.rows_of_now(missing[start : start + _READ_AT_ONCE]):
            numbers.append(row.number)
            yield Text.of(row.id, row.text, row.metadata)


def _copy_others(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy the tables that are not the index's own (what was indexed from where), and the indexes on metadata."""
    ours = {statement.split("(")[0].split()[-1] for statement in SCHEMA} | {POOLING}
    found = source.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    for kind, name, _, sql in found:
        if kind == "table" and name not in ours and not name.startswith("sqlite_"):
            quoted = '"' + name.replace('"', '""') + '"'
            target.execute(f"DROP TABLE IF EXISTS {quoted}")
            target.execute(sql)
            rows = source.execute(f"SELECT * FROM {quoted}")
            marks = ",".join("?" * len(rows.description))
            target.executemany(f"INSERT INTO {quoted} VALUES ({marks})", rows)
    there = {name for (name,) in target.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")}
    for kind, name, _, sql in found:
        if kind == "index" and name not in there:
            target.execute(sql)


# --------------------------------------------------------------------------------------------- vectors stay as they are


def _rebuild(storage: Storage, fresh: Storage) -> None:
    """Make one segment of all, with the sidecar of the new kind, and commit; the catalogue is a copy but for that."""
    writer = Writer(storage)
    while True:
        with writer.transaction() as transaction:
            transaction.flush()
        with storage.catalogue.writing() as connection:
            base = storage.load(connection)
            if len(base.recent):  # added in between
                continue
            # No sidecars: a kind may else take over what was made with other settings.
            parents = [OpenSegment(part.entry, part.files, part.live, None) for part in base.segments]
            entry = merge_segments(fresh, parents, Snapshot())
            with storage.reading() as source, contextlib.closing(sqlite3.connect(fresh.catalogue.path)) as copied:
                assert source is not None
                source.backup(copied)
                _describe(copied, fresh.kind, entry)
            _commit(storage, fresh)
            return


def _describe(connection: sqlite3.Connection, kind: IndexKind, segment: SegmentEntry | None) -> None:
    """Make a copied catalogue that of an index of a kind with one segment, and with an identity of its own."""
    with connection:
        row = connection.execute("SELECT generation, next_number, dim, fingerprint FROM state").fetchone()
        generation, following, dim, fingerprint = row
        parameters = json.dumps(kind.parameters(), sort_keys=True)
        state = (
            1,
            secrets.token_hex(8),
            generation + 1,
            following,
            kind.name,
            dim,
            kind.store,
            fingerprint,
            parameters,
        )
        connection.execute("REPLACE INTO state VALUES (?,?,?,?,?,?,?,?,?,?)", (*state, checksum(*state)))
        connection.execute("DELETE FROM segments")
        connection.execute("DELETE FROM removed")
        if segment is not None:
            connection.execute("INSERT INTO segments VALUES (?,?,?,?,?,?,?,?)", segment.row)


# ----------------------------------------------------------------------------------------------------------- the commit


def _commit(storage: Storage, fresh: Storage) -> None:
    """Put the new catalogue in the place of the old one, whose writers wait."""
    folder, aside = storage.folder, fresh.folder
    with fresh.reading() as connection:
        assert connection is not None
        names = {name for (name,) in connection.execute("SELECT name FROM segments")}
    fresh.close()
    make_folder(folder / SEGMENTS)
    for name in names:
        (aside / SEGMENTS / name).rename(folder / SEGMENTS / name)
    fsync_folder(folder / SEGMENTS)
    (aside / CATALOGUE).replace(folder / CATALOGUE)
    fsync_folder(folder)
