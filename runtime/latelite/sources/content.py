"""Detection of a file's format by its content; its name only distinguishes kinds of text."""

from __future__ import annotations

import json
import zipfile
from pathlib import PurePosixPath
from typing import BinaryIO, Literal

from latelite.sources import encodings

Kind = Literal[
    "text", "code", "markdown", "rst", "org", "asciidoc", "manual", "html",
    "csv", "jsonl", "pdf", "docx", "pptx", "epub", "gzip",
]  # fmt: skip

_CODE = (
    ".py", ".pyi", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".c", ".h", ".cc", ".cpp", ".cxx", ".hh",
    ".hpp", ".java", ".kt", ".go", ".rs", ".rb", ".pl", ".pm", ".php", ".sh", ".bash", ".zsh", ".fish", ".ps1",
    ".bat", ".lua", ".r", ".jl", ".swift", ".scala", ".clj", ".hs", ".ml", ".el", ".lisp", ".scm", ".sql",
    ".css", ".scss", ".less", ".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".xml", ".xsl",
    ".xsd", ".cmake", ".mk", ".diff", ".patch", ".tex", ".bib", ".ipynb", ".cs", ".vb", ".f", ".f90", ".pas",
    ".asm", ".s", ".tcl", ".awk", ".sed", ".dart", ".vue", ".svelte", ".proto", ".gradle", ".groovy", ".nix",
    ".tf", ".log",
)  # fmt: skip
_BY_SUFFIX: dict[str, Kind] = {
    **dict.fromkeys((".md", ".markdown", ".mkd", ".mdown", ".mdx", ".qmd", ".rmd"), "markdown"),
    ".rst": "rst",
    ".org": "org",
    **dict.fromkeys((".adoc", ".asciidoc", ".asc"), "asciidoc"),
    **dict.fromkeys((".html", ".htm", ".xhtml", ".shtml"), "html"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys(_CODE, "code"),
}
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"7z\xbc\xaf'\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (b"{\\rtf", "an RTF document"),
    (b"%!PS", "a PostScript document"),
)
_HTML_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<!doctype xhtml")
_MANUAL_SUFFIXES = tuple(f".{section}" for section in "123456789ln")


class NotTextError(ValueError):
    """A file has no text to search; the message says what it is instead."""


def recognise(file: BinaryIO, name: str) -> Kind:
    """The format of a seekable file, which is rewound.

    Args:
        file: its first 64 kB are examined.
        name: file name, which distinguishes kinds of text; without ``.gz`` if ``file`` is decompressed.

    Raises:
        NotTextError: the file has none of the supported formats.
    """
    sample = file.read(encodings.SAMPLE)
    file.seek(0)
    if sample.startswith(b"\x1f\x8b"):
        return "gzip"
    if b"%PDF-" in sample[:1024]:
        return "pdf"
    if sample.startswith(b"PK\x03\x04"):
        return _in_zip(file)
    for signature, what in _SIGNATURES:
        if sample.startswith(signature):
            raise NotTextError(f"it is {what}")
    if sample[257:262] == b"ustar":
        raise NotTextError("it is a tar archive")
    encoding = encodings.of_sample(sample)
    if encoding is None:
        raise NotTextError("it is not text")
    suffix = PurePosixPath(name).suffix.lower()
    kind = _BY_SUFFIX.get(suffix)
    start = sample.removeprefix(b"\xef\xbb\xbf").lstrip()[:200]
    if kind in (None, "code") and suffix != ".xml" and start[:20].lower().startswith(_HTML_STARTS):
        return "html"
    if kind is None and suffix.startswith(_MANUAL_SUFFIXES) and start.startswith((b".", b"'\\\"")):
        return "manual"
    if kind is None and not suffix and start.startswith(b"{") and _is_record(sample):
        return "jsonl"
    return kind or "text"


def _is_record(sample: bytes) -> bool:
    """Whether the first line is a document with id and text; needed for standard input, which has no file name."""
    try:
        fields = json.loads(sample.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and "text" in fields and bool({"id", "_id"} & set(fields))


def _in_zip(file: BinaryIO) -> Kind:
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f"it is a damaged ZIP file: {error}") from error
    finally:
        file.seek(0)
    if "word/document.xml" in names:
        return "docx"
    if "ppt/presentation.xml" in names:
        return "pptx"
    if "META-INF/container.xml" in names:
        return "epub"
    raise NotTextError("it is a ZIP archive")
