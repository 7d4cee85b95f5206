"""The gate's texts: seven languages, everyday and technical, from titles to pages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from latelite_export.checkpoint import first_line
from latelite_export.errors import SettingError

LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pt")


LEAST = 4
"""Minimum number of queries and of documents in a collection: one half is for choosing the int8 plan, the other for
judging it."""
FEWEST_DOCUMENTS = 30
"""Minimum number of documents in all collections together; with fewer, the ten best would be nearly all of a half."""


@dataclass(frozen=True)
class Collection:
    """Texts in one language. Document i answers query i; surplus documents answer none."""

    language: str
    queries: tuple[str, ...]
    documents: tuple[str, ...]

    def calibration(self) -> Collection:
        """The half on which the int8 plan is chosen."""
        return Collection(self.language, self.queries[0::2], self.documents[0::2])

    def judging(self) -> Collection:
        """The half on which the int8 graph is judged, not used for choosing its plan."""
        return Collection(self.language, self.queries[1::2], self.documents[1::2])


@cache
def collections() -> tuple[Collection, ...]:
    """One collection per language, in the order of `LANGUAGES`."""
    folder = files("latelite_export") / "gate_texts"
    return tuple(_parse(language, (folder / f"{language}.json").read_text(encoding="utf-8")) for language in LANGUAGES)


def read(folder: Path) -> tuple[Collection, ...]:
    """Read the user's collections: files ``NAME.json``, each an object with the lists ``queries`` and ``documents``.
    Document i answers query i.

    Raises:
        SettingError: there are none, or one is malformed or too small.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(_parse(path.stem, path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise SettingError(
                f"{path} is not a JSON object with lists of texts named queries and documents ({first_line(error)})."
            ) from error
        queries, documents = len(found[-1].queries), len(found[-1].documents)
        if queries < LEAST or documents < max(LEAST, queries):
            raise SettingError(
                f"{path} has {queries} queries and {documents} documents; at least {LEAST} of both are needed, and a "
                "document for each query."
            )
    if not found:
        raise SettingError(f"{folder} holds no gate texts: files NAME.json with lists named queries and documents.")
    if (documents := sum(len(collection.documents) for collection in found)) < FEWEST_DOCUMENTS:
        raise SettingError(
            f"{folder} holds {documents} documents; at least {FEWEST_DOCUMENTS} are needed, because the ten best of "
            "half of them are compared."
        )
    return tuple(found)


def _parse(language: str, content: str) -> Collection:
    raw = json.loads(content)
    queries, documents = tuple(raw["queries"]), tuple(raw["documents"])
    if not all(isinstance(text, str) and text.strip() for text in queries + documents):
        raise ValueError("a text is empty or not a string")
    return Collection(language, queries, documents)
