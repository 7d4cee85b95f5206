"""The state of an index: read from the catalogue, and put together with the segments that it names."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.errors import IndexCorruptError
from latelite.storage.catalogue import CATALOGUE
from latelite.storage.kind import IndexKind
from latelite.storage.schema import check_row
from latelite.storage.segments import SEGMENTS, Segment, SegmentEntry
from latelite.storage.snapshot import NOTHING, OpenSegment, Recent, Settings, Snapshot

Committed = tuple[str, int, Settings]
"""Identity of the catalogue, generation, settings."""


@dataclass(frozen=True)
class Contents:
    """What the catalogue says of one state."""

    base: Snapshot
    """Without documents."""
    entries: list[SegmentEntry]
    live: dict[str, NDArray[Any] | None]
    """Per segment the mask of its live documents, or the numbers of the removed ones; None where all are live."""
    recent: Recent


def read_committed(connection: sqlite3.Connection, path: Path) -> Committed | None:
    """Identity, generation and settings; None before the first write.

    Raises:
        IndexCorruptError: the catalogue at ``path`` is damaged.
    """
    row = connection.execute(
        "SELECT one, identity, generation, next_number, kind, dim, store, fingerprint, settings, checksum FROM state"
    ).fetchone()
    if row is None:
        return None
    check_row(row, (int, str, int, int, str, int, str, str | None, str), "its state", path)
    _, identity, generation, _, kind, dim, store, fingerprint, parameters, _ = row
    try:
        settings = Settings(kind, dim, store, fingerprint, dict(json.loads(parameters)))
    except (TypeError, ValueError, RecursionError) as error:
        raise IndexCorruptError(f"{path} is damaged: its settings are no JSON object.") from error
    if not 0 < dim < 1 << 20:
        raise IndexCorruptError(f"{path} is damaged: vectors of {dim} dimensions.")
    return identity, generation, settings


def read_contents(connection: sqlite3.Connection, path: Path, found: Committed, previous: Snapshot) -> Contents:
    """What a snapshot is made of; only what ``previous`` has not is read."""
    identity, generation, settings = found
    same = previous.identity == identity
    entries = [
        SegmentEntry.of_row(row, path)
        for row in connection.execute(
            "SELECT first, last, name, documents, tokens, removed, layout, checksum FROM segments ORDER BY first"
        )
    ]
    known = {part.files.name: part for part in previous.segments} if same else {}
    live: dict[str, NDArray[Any] | None] = {}
    for entry in entries:
        old = known.get(entry.name)
        if old is not None and old.entry == entry:
            live[entry.name] = old.live
        elif not entry.removed:
            live[entry.name] = None
        else:
            query = "SELECT number FROM removed WHERE number BETWEEN ? AND ?"
            gone = connection.execute(query, (entry.first, entry.last)).fetchall()
            if len(gone) != entry.removed:
                raise IndexCorruptError(f"{path} is damaged: it does not say which documents were removed.")
            live[entry.name] = np.array([number for (number,) in gone], np.int64)
    recent = _recent(connection, path, settings.dim, previous.recent if same else NOTHING)
    return Contents(Snapshot(identity, generation, settings), entries, live, recent)


def _recent(connection: sqlite3.Connection, path: Path, dim: int, known: Recent) -> Recent:
    places = {number: place for place, number in enumerate(known.numbers.tolist())}
    wanted = [number for (number,) in connection.execute("SELECT number FROM recent ORDER BY number")]
    if wanted == list(places):
        return known
    documents = []
    for number in wanted:
        place = places.get(number)
        if place is not None:
            vectors = known.tokens[known.offsets[place] : known.offsets[place + 1]]
            documents.append((number, vectors, known.terms[place]))
            continue
        row = connection.execute("SELECT * FROM recent WHERE number = ?", (number,)).fetchone()
        check_row(row, (int, bytes, bytes | None), f"the entry of the vectors of document number {number}", path)
        _, data, terms, _ = row
        if not data or len(data) % (4 * dim) or len(terms or b"") % 4:
            raise IndexCorruptError(f"{path} is damaged: document {number} has {len(data)} bytes.")
        documents.append(
            (
                number,
                np.frombuffer(data, "<f4").reshape(-1, dim),
                None if terms is None else np.frombuffer(terms, "<u4"),
            )
        )
    return Recent.of(documents, dim)


def assemble(contents: Contents, folder: Path, kind: IndexKind, opened: Mapping[str, OpenSegment]) -> Snapshot:
    """Open the segments that are not in ``opened``, and put the snapshot together.

    Raises:
        IndexNotFoundError, FileNotFoundError: a segment is not there; a writer may have merged it away since.
        IndexCorruptError: files or the catalogue in ``folder`` are damaged.
    """
    base, recent, path = contents.base, contents.recent, folder / CATALOGUE
    assert base.settings is not None
    segments = []
    last = 0
    for entry in contents.entries:
        gone = contents.live[entry.name]
        old = opened.get(entry.name)
        if old is not None and old.files.entry.layout == entry.layout:
            files, sidecar = old.files, old.sidecar
        else:
            files = Segment(folder / SEGMENTS / entry.name, entry, dim=base.settings.dim)
            sidecar = kind.load(files)
        if (int(files.numbers[0]), int(files.numbers[-1])) != (entry.first, entry.last) or entry.first <= last:
            raise IndexCorruptError(f"{path} and {files.arrays.path} do not belong together.")
        last = entry.last
        if gone is not None and gone.dtype != np.bool_:
            mask = np.ones(len(files), np.bool_)
            places = np.searchsorted(files.numbers, gone)
            if (places >= len(files)).any() or (files.numbers[places] != gone).any():
                raise IndexCorruptError(f"{path} is damaged: it removes documents that are not there.")
            mask[places] = False
            gone = mask
        segments.append(OpenSegment(entry, files, gone, sidecar))
    if len(recent) and recent.numbers[0] <= last:
        raise IndexCorruptError(f"{path} is damaged: its recent documents are in a segment.")
    return Snapshot(base.identity, base.generation, base.settings, tuple(segments), recent)
