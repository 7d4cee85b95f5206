"""A file of any supported format -> its text with positions and headings."""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from latelite.sources import content, encodings
from latelite.sources.blocks import Block, Fault, Record
from latelite.sources.formats import epub, html, manual, markup, office, pdf, plain, records

VERSION = 1
"""Incremented if the same file gives other blocks; collections then read every file again."""

_IN_MEMORY = 1 << 24  # bytes of a spool stream kept in memory
_UNPACKED = 1 << 26, 200  # limits of a decompressed gzip file: bytes, multiple of its size; the larger counts


def extract(file: BinaryIO, name: str, fault: Fault, *, size: int) -> Iterator[Block | Record]:
    """The text of a seekable file, in order.

    Args:
        file: opened in binary mode, at its start.
        name: file name, which distinguishes kinds of text.
        fault: called for every line, page or chapter that is left out.
        size: in bytes.

    Raises:
        NotTextError: the file has no text to search.
        MissingExtraError: the library for its format is not installed.
        ValueError: the file is damaged; blocks before the damage have been yielded.
        OSError: the file cannot be read.
    """
    kind = content.recognise(file, name)
    if kind != "gzip":
        yield from _blocks(file, kind, name, fault)
        return
    inner = name[:-3] if name.lower().endswith(".gz") else name
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            bounded = io.BufferedReader(_Bounded(unpacked, max(_UNPACKED[0], _UNPACKED[1] * size)))
            kind = content.recognise(bounded, inner)
            if kind == "gzip":
                raise content.NotTextError("it is packed twice")
            if kind in ("pdf", "docx", "pptx", "epub"):
                with spool(bounded) as whole:
                    yield from _blocks(whole, kind, inner, fault)
            else:
                yield from _blocks(bounded, kind, inner, fault)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"it is a damaged gzip file: {error}") from error


def spool(stream: BinaryIO) -> BinaryIO:
    """A seekable copy of a stream, on disk if it is large; closing it deletes it."""
    copy = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the caller closes it
    shutil.copyfileobj(stream, copy, 1 << 20)
    copy.seek(0)
    return copy  # type: ignore[return-value]


def _blocks(file: BinaryIO, kind: content.Kind, name: str, fault: Fault) -> Iterator[Block | Record]:
    match kind:
        case "pdf":
            yield from pdf.read(file, fault)
            return
        case "docx":
            yield from office.docx(file)
            return
        case "pptx":
            yield from office.pptx(file)
            return
        case "epub":
            yield from epub.read(file, fault)
            return
    encoding = encodings.of_file(file)
    if encoding is None:
        raise content.NotTextError("it is not text")
    text = encodings.open_text(file, encoding)
    try:
        match kind:
            case "markdown":
                yield from markup.markdown(text)
            case "rst":
                yield from markup.rst(text)
            case "org":
                yield from markup.org(text)
            case "asciidoc":
                yield from markup.asciidoc(text)
            case "manual":
                yield from manual.read(text)
            case "html":
                yield from html.read(text)
            case "csv":
                yield from records.table(text, fault, tabs=name.lower().endswith(".tsv"))
            case "jsonl":
                yield from records.json_lines(text, fault)
            case _:
                yield from plain.read(text)
    finally:
        if not file.closed:  # the caller may have closed it before the generator
            text.detach()


class _Bounded(io.RawIOBase):
    """A decompressed stream with a limit on its length."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        if self._stream.tell() > self._limit:
            raise ValueError(f"it unpacks to more than {self._limit >> 20} MiB")
        return len(data)
