"""EPUB: the chapters of a book in reading order."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO
from urllib.parse import unquote
from xml.etree import ElementTree

from latelite.sources import encodings
from latelite.sources.blocks import Block, Fault, Outline
from latelite.sources.formats import html
from latelite.sources.formats.archive import Archive

_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"


def read(file: BinaryIO, fault: Fault) -> Iterator[Block]:
    """Blocks of every chapter; the chapter's number is their page. Unreadable chapters are reported and skipped."""
    archive = Archive(file)
    container = _parse(archive, "META-INF/container.xml")
    root = container.find(f".//{_CONTAINER}rootfile")
    package_name = "" if root is None else root.get("full-path", "")
    package = _parse(archive, package_name)
    title = " ".join((package.findtext(f".//{_DC}title") or "").split()) or None
    hrefs = {item.get("id"): item.get("href", "") for item in package.iter(f"{_OPF}item")}
    navigation = {item.get("id") for item in package.iter(f"{_OPF}item") if "nav" in item.get("properties", "").split()}
    folder = posixpath.dirname(package_name)
    chapters = [each.get("idref") for each in package.iter(f"{_OPF}itemref")]
    for number, chapter in enumerate(chapters, start=1):
        if chapter in navigation or chapter not in hrefs:
            continue
        name = posixpath.normpath(posixpath.join(folder, unquote(hrefs[chapter])))
        try:
            with archive.open(name) as stream:
                sample = stream.peek(encodings.SAMPLE)[: encodings.SAMPLE]  # type: ignore[attr-defined]
                text = encodings.open_text(stream, encodings.of_sample(sample) or "utf-8")
                for block in html.read(text, page=number, outline=Outline()):
                    yield replace(block, title=title or block.title)
        except ValueError as error:
            fault(f"chapter {number} ({name})", f"cannot be read: {error}")


def _parse(archive: Archive, part: str) -> ElementTree.Element:
    try:
        with archive.open(part) as stream:
            return ElementTree.parse(stream).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"its part {part} is damaged: {error}") from error
