"""The collections that are served, opened on a thread so that the page paints before the model is there."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from latelite.serve.answers import BusyError, RequestError

if TYPE_CHECKING:
    from latelite.collection import Collection
    from latelite.manifest import Precision
    from latelite.models import ColBERT

logger = logging.getLogger(__name__)


class Collections:
    """Collections by name. Those made with one model share it in memory.

    Args:
        folders: by name; the first is the one that requests without a name mean.
        write: whether documents can be changed.
        precision: which graph encodes, None for the one that suits this CPU.
        threads: CPU threads for encoding; default: all usable.
        seconds: that a request waits for a collection that is still being opened.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        *,
        write: bool = False,
        precision: Precision | None = None,
        threads: int | None = None,
        seconds: float = 10.0,
    ) -> None:
        self._folders = dict(folders)
        self._write = write
        self._precision: Precision | None = precision
        self._threads = threads
        self._seconds = seconds
        self._opened: dict[str, Future[Collection]] = {name: Future() for name in folders}
        self._begun = threading.Lock()
        self._opening = threading.Thread(target=self._open_all, name="latelite-open", daemon=True)

    @property
    def names(self) -> list[str]:
        """Of all collections, the default one first."""
        return list(self._folders)

    def begin(self) -> None:
        """Start to open; returns at once, and does nothing the second time."""
        if self._begun.acquire(blocking=False):
            self._opening.start()

    def state(self, name: str) -> str:
        """``"loading"``, ``"ready"`` or ``"failed"``."""
        opened = self._opened[name]
        if not opened.done():
            return "loading"
        return "failed" if opened.exception() else "ready"

    def failure(self) -> BaseException | None:
        """Why a collection could not be opened."""
        errors = (each.exception() for each in self._opened.values() if each.done())
        return next((error for error in errors if error is not None), None)

    def ready(self) -> dict[str, Collection]:
        """Those that are open."""
        return {name: each.result() for name, each in self._opened.items() if self.state(name) == "ready"}

    async def get(self, name: str | None = None) -> Collection:
        """A collection, once it is open.

        Raises:
            RequestError: there is none of that name, it cannot be opened, or it takes longer than a request waits.
        """
        name = self.names[0] if name is None else name
        if name not in self._opened:
            raise RequestError(404, f"There is no collection {name[:80]!r}; there are {', '.join(self.names)}.")
        opened = self._opened[name]
        if not opened.done():
            self.begin()
            await asyncio.wait({asyncio.wrap_future(opened)}, timeout=self._seconds)
        if not opened.done():
            raise BusyError("The model is still being loaded; try again in two seconds.", retry_after=2)
        if error := opened.exception():
            raise RequestError(500, f"The collection {name!r} could not be opened: {error}")
        return opened.result()

    async def model(self) -> ColBERT:
        """The default collection's encoder."""
        return (await self.get()).model

    def close(self) -> None:
        """Let go of the files."""
        if not self._begun.acquire(blocking=False):
            self._opening.join()
        for collection in self.ready().values():
            collection.close()

    def _open_all(self) -> None:
        from latelite.collection import Collection

        models: dict[str, ColBERT] = {}
        for name, folder in self._folders.items():
            try:
                fingerprint = _fingerprint(folder)
                collection = Collection(
                    folder,
                    models.get(fingerprint),
                    precision=self._precision,
                    threads=self._threads,
                    # Where it may, a server undoes what a killed writer left in the middle, and so goes on answering.
                    read_only=not self._write and not os.access(folder, os.W_OK),
                )
            except Exception as error:
                logger.info("%s could not be opened", folder, exc_info=True)
                self._opened[name].set_exception(error)
            else:
                models[fingerprint] = collection.model
                self._opened[name].set_result(collection)


def _fingerprint(folder: Path) -> str:
    from latelite.collection_folder import Header

    return Header.read(folder).fingerprint
