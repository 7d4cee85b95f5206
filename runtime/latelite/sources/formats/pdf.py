"""PDF: the text of every page, extracted with PDFium."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import BinaryIO

from latelite.errors import MissingExtraError
from latelite.sources.blocks import LINE, PARAGRAPH, Block, Fault

_PDFIUM = threading.Lock()  # PDFium is not thread-safe
_HYPHENATED = re.compile(r"(?<=\w)[\ufffe\u00ad]\n?")  # PDFium's marker of a word hyphenated at the end of a line
_SHORT = 0.7  # a line shorter than this share of the page's usual line length ends its paragraph


def read(file: BinaryIO, fault: Fault) -> Iterator[Block]:
    """Lines of a PDF with their page numbers; unreadable pages are reported and skipped.

    Raises:
        MissingExtraError: `pypdfium2` is not installed.
        ValueError: the file is damaged or locked with a password.
    """
    try:
        import pypdfium2
    except ImportError as error:
        raise MissingExtraError("reading PDF files needs pypdfium2: pip install 'latelite[files]'") from error
    try:
        with _PDFIUM:
            document = pypdfium2.PdfDocument(file)
            pages = len(document)
            title = " ".join((document.get_metadata_dict().get("Title") or "").split()) or None
    except pypdfium2.PdfiumError as error:
        raise ValueError(_reason(error)) from error
    try:
        empty = True
        for number in range(1, pages + 1):
            try:
                with _PDFIUM:
                    page = document[number - 1]
                    try:
                        text_page = page.get_textpage()
                        text = text_page.get_text_bounded()
                        text_page.close()
                    finally:
                        page.close()
            except (pypdfium2.PdfiumError, ValueError) as error:
                fault(f"page {number}", f"cannot be read: {error}")
                continue
            for block in _lines(text, number, title):
                empty = False
                yield block
        if empty and pages:
            fault(f"{pages} pages", "contain only images and no text: run text recognition (OCR) on the file first")
    finally:
        with _PDFIUM:
            document.close()


def _lines(text: str, page: int, title: str | None) -> Iterator[Block]:
    text = _HYPHENATED.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", " "))
    rows = text.split("\n")
    usual = sorted(map(len, rows))[len(rows) * 3 // 4] if rows else 0
    starts = True
    for row in rows:
        if row.strip():
            yield Block(f"{row.rstrip()}\n", PARAGRAPH if starts else LINE, page=page, title=title)
        starts = not row.strip() or (len(row.rstrip()) < _SHORT * usual and row.rstrip()[-1:] in ".!?:。！？")


def _reason(error: Exception) -> str:
    if "password" in str(error).lower():
        return "it is locked with a password"
    return f"it is a damaged PDF file: {error}"
