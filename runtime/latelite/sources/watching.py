"""Keeping a collection in step while files change."""

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
"""Milliseconds for which changes are gathered: an editor writes a file in several steps."""
_EVERY = 60_000
"""Milliseconds after which everything is looked at in any case: network drives and full queues report no changes."""


def watch(collection: Collection, *, stop: Any = None) -> Iterator[Report]:
    """Bring the collection in step with its sources at once, and again whenever files of theirs change.

    Args:
        stop: a `threading.Event` that ends it.

    Yields:
        What each run did, when it did anything.

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
    """Accepts changes that are not the collection's own."""
    inside = f"{folder.resolve()}/"
    return lambda change, path: not f"{path}/".startswith(inside)
