"""The texts that the gate encodes: seven languages, everyday and technical, from titles to pages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pt")


@dataclass(frozen=True)
class Collection:
    """Texts in one language. Query i is answered by document i; the other documents answer none."""

    language: str
    queries: tuple[str, ...]
    documents: tuple[str, ...]


@cache
def collections() -> tuple[Collection, ...]:
    """One collection per language, in the order of `LANGUAGES`."""
    folder = files("latelite_export") / "gate_texts"
    return tuple(_read(language, (folder / f"{language}.json").read_text(encoding="utf-8")) for language in LANGUAGES)


def _read(language: str, content: str) -> Collection:
    raw = json.loads(content)
    return Collection(language, tuple(raw["queries"]), tuple(raw["documents"]))
