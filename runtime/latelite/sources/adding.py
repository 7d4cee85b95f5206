"""Indexing of files into a collection: `Collection.add_files` and ``latelite index``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from latelite.sources import roots
from latelite.sources.catalogue import Source, SourceCatalogue
from latelite.sources.passage import Measure
from latelite.sources.report import Report
from latelite.sources.sync import Progress, Sync
from latelite.sources.target import CollectionTarget, DryTarget
from latelite.storage.turn import turn

if TYPE_CHECKING:
    from latelite.collection import Collection


def add_files(
    collection: Collection,
    arguments: Sequence[roots.Argument] | None,
    *,
    exclude: Sequence[str] = (),
    suffixes: Sequence[str] | None = None,
    passage_length: int | None = None,
    keep_missing: bool = False,
    dry_run: bool = False,
    timeout: float | None = None,
    on_progress: Callable[[Progress], object] = lambda progress: None,
    on_wait: Callable[[], object] = lambda: None,
) -> Report:
    """Synchronise a collection with files and folders; see `latelite.Collection.add_files`.

    Args:
        arguments: None: the known sources, with their options.
        timeout: seconds to wait for another run on the same collection; None: no limit.
        on_wait: called once if there is another run.
    """
    options: dict[str, object] | None = {"exclude": list(exclude), "suffixes": suffixes and list(suffixes)}
    if arguments is None:
        arguments = [roots.Argument(source.kind, source.location) for source, _, _ in known_sources(collection)]
        options = {**(options or {})} if exclude or suffixes else None
    measure = Measure(collection.model.counts, collection.model.document_room, passage_length)
    leave_out = [os.path.realpath(collection.folder)]
    storage = collection._storage
    if dry_run:
        with storage.reading() as connection:
            target = DryTarget(connection)
        try:
            return dry(target, measure, arguments, options, leave_out, keep_missing=keep_missing)
        finally:
            target.close()
    with turn(collection.folder, timeout=timeout, on_wait=on_wait):
        writing = CollectionTarget(storage, collection._writer, collection.model, collection.pool_factor)
        sync = Sync(writing, measure, keep_missing=keep_missing, leave_out=leave_out, on_progress=on_progress)
        report = sync.run(arguments, options)
    report.documents = len(collection)
    return report


def dry(
    target: DryTarget,
    measure: Measure,
    arguments: Sequence[roots.Argument],
    options: dict[str, object] | None,
    leave_out: Sequence[str],
    *,
    keep_missing: bool,
) -> Report:
    """Report what a run would do."""
    report = Sync(target, measure, keep_missing=keep_missing, leave_out=leave_out).run(arguments, options)
    report.documents = target.documents
    report.dry_run = True
    return report


def known_sources(collection: Collection) -> list[tuple[Source, int, int]]:
    """Every source, with its number of files and of passages in the collection."""
    with collection._storage.reading() as connection:
        if connection is None:
            return []
        catalogue = SourceCatalogue(connection)
        if not catalogue.exists():
            return []
        return [(source, *catalogue.counts(source.number)) for source in catalogue.sources()]


def described_sources(collection: Collection) -> list[dict[str, Any]]:
    """`known_sources` as JSON; times are ISO 8601, None if the source's first run was interrupted."""
    return [
        {
            "location": source.location,
            "kind": source.kind,
            "label": source.label,
            "files": files,
            "passages": passages,
            "last_run": None if source.completed is None else _time(source.completed),
            "options": dict(source.options),
        }
        for source, files, passages in known_sources(collection)
    ]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
