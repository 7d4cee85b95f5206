"""Text in seven languages that comes with pinned wheels: word frequencies, translated messages, Python source.

None of it is kept in the repository or in the checkpoint: it is only counted and averaged.
"""

from __future__ import annotations

import gettext
import gzip
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipe.errors import FormatError
from recipe.wheels import members, read

LOCALES = {"de": ["de"], "es": ["es"], "fr": ["fr"], "it": ["it"], "nl": ["nl"], "pt": ["pt", "pt_BR"]}
"""Languages that the messages are translated into, from English."""


def word_frequencies(wheel: Path, language: str) -> Iterator[tuple[str, float]]:
    """``(word, frequency)``, most frequent first.

    The list is gzipped MessagePack: a header, then for each hundredth of a decade the words of that frequency.
    """
    raw = gzip.decompress(read(wheel, f"wordfreq/data/large_{language}.msgpack.gz"))
    header, *bins = message_pack(raw)
    if not isinstance(header, dict) or header.get("format") != "cB" or header.get("version") != 1:
        raise FormatError(f"word frequencies of {language}: unknown header {header!r}")
    for hundredths, words in enumerate(bins):
        for word in words:
            yield word, 10 ** (-hundredths / 100)


def messages(wheel: Path) -> dict[str, list[str]]:
    """Translated messages by language; English is what they were translated from."""
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
    """The wheel's modules, for the pieces that names and docstrings are made of."""
    return [read(wheel, name).decode() for name in members(wheel, suffix=".py") if "/locale/" not in name]


def message_pack(raw: bytes) -> Any:
    """Decode the part of MessagePack that the word lists use: maps, arrays, strings and small integers."""
    value, end = _decode(raw, 0)
    if end != len(raw):
        raise FormatError(f"MessagePack ends at byte {end} of {len(raw)}")
    return value


_ARRAY = {0xDC: ">H", 0xDD: ">I"}
_TEXT = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}


def _decode(raw: bytes, at: int) -> tuple[Any, int]:
    """Value at byte ``at`` and the byte after it."""
    try:
        kind, at = raw[at], at + 1
        if kind < 0x80:
            return kind, at
        if kind < 0x90:
            return _decode_map(raw, at, kind & 0x0F)
        if kind < 0xA0:
            return _decode_array(raw, at, kind & 0x0F)
        if kind < 0xC0:
            return _decode_text(raw, at, kind & 0x1F)
        if layout := _ARRAY.get(kind):
            return _decode_array(raw, at + struct.calcsize(layout), struct.unpack_from(layout, raw, at)[0])
        if layout := _TEXT.get(kind):
            return _decode_text(raw, at + struct.calcsize(layout), struct.unpack_from(layout, raw, at)[0])
    except (IndexError, struct.error) as error:
        raise FormatError(f"MessagePack is cut off after {len(raw)} bytes") from error
    raise FormatError(f"MessagePack type 0x{kind:02x} is not one that word lists use")


def _decode_text(raw: bytes, at: int, length: int) -> tuple[str, int]:
    if at + length > len(raw):
        raise FormatError(f"MessagePack is cut off after {len(raw)} bytes")
    return raw[at : at + length].decode(), at + length


def _decode_array(raw: bytes, at: int, count: int) -> tuple[list[Any], int]:
    values = []
    for _ in range(count):
        value, at = _decode(raw, at)
        values.append(value)
    return values, at


def _decode_map(raw: bytes, at: int, count: int) -> tuple[dict[Any, Any], int]:
    flat, at = _decode_array(raw, at, 2 * count)
    return dict(zip(flat[::2], flat[1::2], strict=True)), at
