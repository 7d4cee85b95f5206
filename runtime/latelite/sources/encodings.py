"""Detection of a file's character encoding."""

from __future__ import annotations

import codecs
import io
import re
from typing import BinaryIO

SAMPLE = 1 << 16
"""Number of bytes examined to detect text and legacy encodings."""

_BLOCK = 1 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Bytes that do not occur in text: all control characters except BEL to CR and ESC.
_CONTROL = bytes(set(range(32)) - set(range(7, 14)) - {27}) + b"\x7f"
_HIGH = bytes(range(128, 256))
_CENTRAL = "áâäăąćčçďđéęěëíîłńňóôöőřśšťúůüűýźżž"
_LATIN = {"cp1252": "àáâãäåæçèéêëìíîïñòóôõöøùúûüßœ¿¡«»", "cp1250": _CENTRAL, "iso8859_2": _CENTRAL}
_OTHER_SCRIPTS = ("cp1251", "koi8_r", "cp1253", "cp932", "euc_jp", "gb18030", "big5", "euc_kr")
_LETTERS = 8  # non-ASCII bytes needed for statistics; with fewer, assume Western European
_TRUSTED_CONTROLS = 0.01
_FEW_CONTROLS = 0.05


def of_sample(sample: bytes) -> str | None:
    """Encoding of a text that begins with ``sample``; None if it is not text.

    "utf-8" includes ASCII, and is not certain before the rest of the file is read (`of_file`).
    """
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if wide := _without_mark(sample):
        return wide
    controls = len(sample) - len(sample.translate(None, _CONTROL))
    if _is_utf8(sample):
        return "utf-8" if controls <= len(sample) * _FEW_CONTROLS else None
    if b"\0" in sample or controls > len(sample) * _TRUSTED_CONTROLS:
        return None
    return _with_errors(sample)


def of_file(file: BinaryIO) -> str | None:
    """Encoding of a seekable file, which is read to the end and rewound; None if it is not text."""
    block = file.read(SAMPLE)
    encoding = of_sample(block)
    if encoding == "utf-8":
        decoder = codecs.getincrementaldecoder("utf-8")()
        several = False
        try:
            while block:
                several = not decoder.decode(block).isascii() or several
                last, block = block, file.read(_BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            # A long UTF-8 text with a few damaged bytes is still UTF-8.
            encoding = "utf-8" if several else _with_errors(_around_letters(block or last))
    file.seek(0)
    return encoding


def _is_utf8(sample: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _with_errors(sample: bytes) -> str:
    """UTF-8 if most of the non-ASCII bytes are valid UTF-8, else a legacy encoding."""
    text = sample.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(character > "\x7f" for character in text) - bad
    return "utf-8" if good > 4 * bad else legacy(sample)


def open_text(file: BinaryIO, encoding: str) -> io.TextIOWrapper:
    """The file as text, with universal newlines; undecodable bytes become U+FFFD."""
    return io.TextIOWrapper(file, encoding=encoding, errors="replace", newline=None)


def legacy(sample: bytes) -> str:
    """The most likely legacy encoding of a text that is not UTF-8.

    Any script with `charset-normalizer` (extra ``files``). Without it, or with only a few non-ASCII letters, Western or
    Central European.
    """
    letters = len(sample) - len(sample.translate(None, _HIGH))
    if letters < len(sample) * 0.0005:
        sample = _around_letters(sample)  # the text is ASCII except for a few bytes
    if letters >= _LETTERS:
        try:
            from charset_normalizer import from_bytes
        except ImportError:
            pass
        else:
            best = from_bytes(sample, cp_isolation=[*_LATIN, *_OTHER_SCRIPTS]).best()
            if best is not None and best.encoding not in _LATIN:
                return str(best.encoding)
    return _latin(sample)


def _latin(sample: bytes) -> str:
    """The Latin encoding in which most bytes are letters of its languages; Windows-1252 in a tie.

    General statistics mistake Spanish for Central European, because most letters of both have the same bytes.
    """
    high = bytes(byte for byte in sample if byte >= 128)
    scores = {}
    for encoding, letters in _LATIN.items():
        text = high.decode(encoding, "replace").lower()
        scores[encoding] = sum(text.count(letter) for letter in letters)
    return max(scores, key=lambda encoding: scores[encoding])


def _around_letters(block: bytes) -> bytes:
    """The non-ASCII lines of a block, up to the size of a sample."""
    lines = []
    size = 0
    for match in re.finditer(rb"[^\n]*[\x80-\xff][^\n]*", block):
        lines.append(match.group()[:4096])
        size += len(lines[-1])
        if size > SAMPLE:
            break
    return b"\n".join(lines)


def _without_mark(sample: bytes) -> str | None:
    """Detect UTF-16 without a byte order mark: most of its even or of its odd bytes are 0."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if half < 2:
        return None
    if odd > 0.4 * half and even < 0.02 * half + 1:
        return "utf-16-le"
    if even > 0.4 * half and odd < 0.02 * half + 1:
        return "utf-16-be"
    return None
