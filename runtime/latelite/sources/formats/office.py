"""DOCX and PPTX: paragraphs with headings, slides with notes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree import ElementTree

from latelite.sources.blocks import LINE, PARAGRAPH, Block, Outline, heading_strength
from latelite.sources.formats.archive import Archive

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_REL = "{http://schemas.openxmlformats.org/package/2006/relationships}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DC = "{http://purl.org/dc/elements/1.1/}"
_HEADING = re.compile(r"heading ?([1-9])", re.IGNORECASE)


def docx(file: BinaryIO) -> Iterator[Block]:
    """Paragraphs and table rows in document order, then footnotes and endnotes."""
    archive = Archive(file)
    title = _core_title(archive)
    depths = _heading_depths(archive)
    outline = Outline()
    for part in ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml"):
        if part in archive.names:
            for text, style, in_row in _paragraphs(archive, part):
                depth = depths.get(style, 0)
                if depth:
                    outline.enter(depth, text)
                strength = heading_strength(depth) if depth else LINE if in_row else PARAGRAPH
                yield Block(f"{text}\n", strength, headings=outline.path, title=title)


def pptx(file: BinaryIO) -> Iterator[Block]:
    """Slides in order: title, text, tables, speaker notes."""
    archive = Archive(file)
    title = _core_title(archive)
    targets = _relations(archive, "ppt/presentation.xml")
    presentation = _parse(archive, "ppt/presentation.xml")
    for page, entry in enumerate(presentation.iter(f"{_P}sldId"), start=1):
        slide = targets.get(entry.get(f"{_R}id", ""), ("", ""))[1]
        if slide not in archive.names:
            continue
        outline = Outline()
        texts = list(_slide(_parse(archive, slide)))
        # The title is a shape like any other, and need not come first in the file.
        texts.sort(key=lambda each: not each[1])
        first = True
        for text, is_title in texts:
            if is_title:
                outline.enter(1, text)
            yield Block(f"{text}\n", heading_strength(1) if first else PARAGRAPH, None, page, outline.path, title)
            first = False
        for kind, notes in _relations(archive, slide).values():
            if kind == "notesSlide" and notes in archive.names:
                for text, is_title in _slide(_parse(archive, notes)):
                    if not is_title and not text.isdigit():
                        strength = heading_strength(1) if first else PARAGRAPH
                        yield Block(f"{text}\n", strength, None, page, outline.path, title)
                        first = False


def _paragraphs(archive: Archive, part: str) -> Iterator[tuple[str, str, bool]]:
    """Text, style and whether it is a table row, for every paragraph; streamed, without building a tree."""
    with archive.open(part) as stream:
        text: list[str] = []
        row: list[str] | None = None
        style = ""
        tables = hidden = 0
        try:
            for event, element in ElementTree.iterparse(stream, ("start", "end")):
                tag = element.tag
                if event == "start":
                    hidden += tag == _FALLBACK
                    if tag == f"{_W}tbl":
                        tables += 1
                    elif tag == f"{_W}tr":
                        row = []
                    elif tag == f"{_W}p" and row is None:
                        style = ""
                    continue
                if tag == _FALLBACK:
                    hidden -= 1
                elif hidden:
                    pass
                elif tag == f"{_W}t":
                    text.append(element.text or "")
                elif tag in (f"{_W}tab", f"{_W}ptab"):
                    text.append("\t")
                elif tag in (f"{_W}br", f"{_W}cr"):
                    text.append("\n")
                elif tag == f"{_W}noBreakHyphen":
                    text.append("-")
                elif tag == f"{_W}pStyle":
                    style = element.get(f"{_W}val", "")
                elif tag == f"{_W}p":
                    joined = "".join(text).strip()
                    text.clear()
                    if row is not None:
                        row.append(joined)
                    elif joined:
                        yield joined, style, False
                elif tag == f"{_W}tr":
                    joined = "\t".join(each for each in row or [] if each)
                    if joined:
                        yield joined, "", True
                    row = [] if tables > 1 else None
                elif tag == f"{_W}tbl":
                    tables -= 1
                    row = row if tables else None
                if tag in (f"{_W}p", f"{_W}tbl", f"{_W}tr"):
                    element.clear()
        except ElementTree.ParseError as error:
            raise ValueError(f"its part {part} is damaged: {error}") from error


def _slide(tree: ElementTree.Element) -> Iterator[tuple[str, bool]]:
    """Text of every shape and table row of a slide, and whether it is the title."""
    for shape in tree.iter():
        if shape.tag == f"{_P}sp":
            placeholder = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
            kind = "" if placeholder is None else placeholder.get("type", "")
            if kind in ("sldNum", "dt", "ftr", "hdr", "sldImg"):
                continue
            text = "\n".join(filter(None, map(_runs, shape.iter(f"{_A}p"))))
            if text:
                yield text, kind in ("title", "ctrTitle")
        elif shape.tag == f"{_A}tr":
            cells = (" ".join(filter(None, map(_runs, cell.iter(f"{_A}p")))) for cell in shape.iter(f"{_A}tc"))
            text = "\t".join(filter(None, cells))
            if text:
                yield text, False


def _runs(paragraph: ElementTree.Element) -> str:
    parts = (
        "\n" if run.tag == f"{_A}br" else run.text or "" for run in paragraph.iter() if run.tag in (f"{_A}t", f"{_A}br")
    )
    return "".join(parts).strip()


def _heading_depths(archive: Archive) -> dict[str, int]:
    """Id of a paragraph style -> heading depth; by outline level, since style names depend on the language."""
    depths = {"Title": 1, **{f"Heading{depth}": depth for depth in range(1, 10)}}
    if "word/styles.xml" in archive.names:
        for style in _parse(archive, "word/styles.xml").iter(f"{_W}style"):
            name, level = style.find(f"{_W}name"), style.find(f"{_W}pPr/{_W}outlineLvl")
            found = _HEADING.fullmatch(name.get(f"{_W}val", "")) if name is not None else None
            if found:
                depths[style.get(f"{_W}styleId", "")] = int(found[1])
            elif level is not None and level.get(f"{_W}val", "9") in "012345678":
                depths[style.get(f"{_W}styleId", "")] = int(level.get(f"{_W}val", "0")) + 1
    return depths


def _relations(archive: Archive, part: str) -> dict[str, tuple[str, str]]:
    """Relation id of ``part`` -> last component of its type, and target part."""
    folder, name = posixpath.split(part)
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in archive.names:
        return {}
    return {
        each.get("Id", ""): (
            each.get("Type", "").rpartition("/")[2],
            posixpath.normpath(posixpath.join(folder, each.get("Target", ""))).lstrip("/"),
        )
        for each in _parse(archive, relations).iter(f"{_REL}Relationship")
    }


def _core_title(archive: Archive) -> str | None:
    if "docProps/core.xml" not in archive.names:
        return None
    title = _parse(archive, "docProps/core.xml").findtext(f".//{_DC}title") or ""
    return " ".join(title.split()) or None


def _parse(archive: Archive, part: str) -> ElementTree.Element:
    try:
        with archive.open(part) as stream:
            return ElementTree.parse(stream).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"its part {part} is damaged: {error}") from error
