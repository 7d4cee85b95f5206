"""Keeps a collection synchronised while files change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latelite.errors import MissingExtraError
from latelite.sources import adding
from latelite.sources.report import Report

if TYPE_CHECKING:
    from latelite.collection import Collection

_CALM = 1600
"""Milliseconds for which changes are collected, because editors write a file in several steps."""
_EVERY = 60_000
"""Milliseconds between full runs, because network drives and full event queues miss changes."""


def watch(collection: Collection, *, stop: Any = None) -> Iterator[Report]:
    """Synchronise the collection with its sources now, and again whenever their files change.

    Args:
        stop: a `threading.Event` that ends the loop.

    Yields:
        The report of each run that changed something.

    Raises:
        MissingExtraError: `watchfiles` is not installed.
    """
    try:
        import watchfiles
    except ImportError as error:
        raise MissingExtraError("watching files needs watchfiles: pip install 'latelite[watch]'") from error
    yield adding.add_files(collection, None)
    places = [source.location for source, _, _ in adding.known_sources(collection) if source.kind != "stream"]
    changes = watchfiles.watch(
        *(place for place in places if Path(place).exists()),
        watch_filter=_outside(collection.folder),
        debounce=_CALM,
        rust_timeout=_EVERY,
        yield_on_timeout=True,
        stop_event=stop,
        raise_interrupt=True,
    )
    for _ in changes:
        report = adding.add_files(collection, None)
        if report.added or report.removed or report.moved or report.files_changed:
            yield report


def _outside(folder: Path) -> Callable[[object, str], bool]:
    """A filter for changes outside the collection's own folder."""
    inside = f"{folder.resolve()}/"
    return lambda change, path: not f"{path}/".startswith(inside)
