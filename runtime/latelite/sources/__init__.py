"""Files -> passages, and a collection that is kept in step with them."""

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
    """The passages that ``latelite index`` makes of files and folders, one at a time.

    Each has at most the tokens that the model reads of a document, and is cut at headings, paragraphs or sentences.
    What cannot be read is logged as a warning and left out.

    Args:
        paths: files, and folders that are walked through.
        model: whose tokens are counted: a loaded `ColBERT` or a bundle folder; None for the installed default model.
        exclude: patterns of files to leave out, as in a ``.gitignore``.
        suffixes: only names in folders that end like this; None takes everything that holds text.
        passage_length: characters of a passage at most, besides the bound on tokens.

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
