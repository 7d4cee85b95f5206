"""Files -> passages, and synchronisation of a collection with folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from latelite.sources.passage import Passage

if TYPE_CHECKING:
    from latelite.models import ColBERT

__all__ = ["Passage", "passages"]

logger = logging.getLogger(__name__)


def passages(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    model: ColBERT | str | os.PathLike[str] | None = None,
    *,
    exclude: Sequence[str] = (),
    suffixes: Sequence[str] | None = None,
    passage_length: int | None = None,
) -> Iterator[Passage]:
    """Split files and folders into the passages that ``latelite index`` makes, one at a time.

    A passage is no longer than the model's document length, and is cut at headings, paragraphs or sentences. Files that
    cannot be read are skipped with a logged warning.

    Args:
        paths: files and folders.
        model: counts the tokens: a loaded `ColBERT` or a bundle folder; None: the installed default model.
        exclude: patterns of files to skip, as in a ``.gitignore``.
        suffixes: in folders, use only file names with these endings; None: every file that is text.
        passage_length: maximum characters of a passage, in addition to the limit in tokens.

    Raises:
        FileNotFoundError: a path does not exist.
        BundleError: the model cannot be used.
    """
    from latelite.models import ColBERT
    from latelite.sources import folders, reading, roots
    from latelite.sources.passage import Measure

    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    encoder = model if isinstance(model, ColBERT) else ColBERT(None if model is None else os.fspath(model))
    measure = Measure(encoder.counts, encoder.document_room, passage_length)
    labels: list[str] = []
    for argument in roots.resolve(given):
        if argument.kind == "folder":
            labels.append(roots.unique_label(argument.name, labels))
            found = folders.find(argument.location, exclude=exclude, suffixes=suffixes)
        else:
            found = iter([folders.Found("", argument.location)])
        for file in found:
            path = f"{labels[-1]}/{file.path}" if file.path else argument.name
            if file.problem or file.skipped:
                logger.warning("%s was left out: %s", path, file.problem or file.skipped)
                continue
            try:
                for passage, _ in reading.read_path(file.location, path, measure, _warn(path)):
                    yield passage
            except Exception as error:  # noqa: BLE001 - see reading.problem
                logger.warning("%s was left out: %s", path, reading.problem(path, error).reason)


def _warn(path: str) -> Any:
    return lambda place, what: logger.warning("%s, %s: %s", path, place, what)
