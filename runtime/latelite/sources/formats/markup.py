"""Markdown, reStructuredText, Org and AsciiDoc: lines, some of which are headings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import IO

from latelite.sources.blocks import ANYWHERE, LINE, PARAGRAPH, Block, Outline, heading_strength
from latelite.sources.formats.lines import lines

Line = tuple[int, str, bool]
Heading = tuple[int, str]
"""Depth from 1, and text."""

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RST = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
_ORG = re.compile(r"(\*+)[ \t]+(?:(?:TODO|DONE)[ \t]+)?(.*?)(?:[ \t]+:[\w@:]+:)?[ \t]*$")
_ASCIIDOC = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.*?)[ \t]*$")
_TITLE_FIELD = re.compile(r"title:[ \t]*(['\"]?)(.+?)\1[ \t]*$", re.IGNORECASE)
_ORG_TITLE = re.compile(r"#\+title:[ \t]*(.+?)[ \t]*$", re.IGNORECASE)


def markdown(text: IO[str]) -> Iterator[Block]:
    """Headings with ``#`` or underlines, outside fenced code; the title in a front matter."""
    fence = ""
    front_matter: bool | None = None  # None before the first line
    title: str | None = None

    def heading(line: str, following: str, before: str) -> Heading | None:
        nonlocal fence, front_matter, title
        if front_matter is None:
            front_matter = line.rstrip() == "---"
            if front_matter:
                return None
        if front_matter:
            front_matter = line.rstrip() not in ("---", "...")
            if found := _TITLE_FIELD.match(line.rstrip("\n")):
                title = found[2]
            return None
        if found := _FENCE.match(line):
            if not fence:
                fence = found[1]
            elif found[1].startswith(fence) and not line.strip(" \t\n" + fence[0]):
                fence = ""
            return None
        if fence:
            return None
        if found := _ATX.match(line.rstrip("\n")):
            return len(found[1]), found[2] or ""
        if line.strip() and not before.strip() and not line.startswith(("    ", "\t", ">", "- ", "* ", "+ ")):
            under = _SETEXT.match(following.rstrip("\n"))
            if under:
                return (1 if under[1][0] == "=" else 2), line
        return None

    return _blocks(text, heading, lambda: title)


def rst(text: IO[str]) -> Iterator[Block]:
    """Titles underlined, or under- and overlined, with punctuation; depths in the order of first use."""
    styles: list[tuple[str, bool]] = []

    def heading(line: str, following: str, before: str) -> Heading | None:
        under, over = _RST.match(following.rstrip("\n")), _RST.match(before.rstrip("\n"))
        if not under or not line.strip() or _RST.match(line.rstrip("\n")):
            return None
        if len(following.rstrip()) < len(line.strip()) or (line[0].isspace() and not over):
            return None
        style = (under[1], bool(over and over[1] == under[1]))
        if style not in styles:
            styles.append(style)
        return styles.index(style) + 1, line

    return _blocks(text, heading)


def org(text: IO[str]) -> Iterator[Block]:
    """Headlines with stars, and ``#+title:``."""
    title: str | None = None

    def heading(line: str, following: str, before: str) -> Heading | None:
        nonlocal title
        if found := _ORG_TITLE.match(line.rstrip("\n")):
            title = found[1]
        found = _ORG.match(line.rstrip("\n"))
        return (len(found[1]), found[2]) if found else None

    return _blocks(text, heading, lambda: title)


def asciidoc(text: IO[str]) -> Iterator[Block]:
    """Titles with equals signs, outside delimited blocks."""
    delimiter = ""

    def heading(line: str, following: str, before: str) -> Heading | None:
        nonlocal delimiter
        bare = line.rstrip()
        if len(bare) >= 4 and bare[0] in "-.+/=_*" and bare == bare[0] * len(bare):
            delimiter = "" if bare == delimiter else delimiter or bare
            return None
        found = None if delimiter else _ASCIIDOC.match(bare)
        return (len(found[1]), found[2]) if found else None

    return _blocks(text, heading)


def _blocks(
    text: IO[str],
    heading: Callable[[str, str, str], Heading | None],
    title: Callable[[], str | None] = lambda: None,
) -> Iterator[Block]:
    """Lines as blocks; ``heading`` is called with each line, the next and the previous one."""
    outline = Outline()
    first: str | None = None
    empty = True
    before = ""
    for (number, line, going_on), following in _with_next(lines(text)):
        found = None if going_on else heading(line, following, before)
        if found:
            outline.enter(*found)
            if first is None and found[0] == 1:
                first = " ".join(found[1].split()) or None
            strength = heading_strength(found[0])
        else:
            strength = ANYWHERE if going_on else PARAGRAPH if empty and line.strip() else LINE
        yield Block(line, strength, line=number, headings=outline.path, title=title() or first)
        empty = not line.strip()
        before = line


def _with_next(all_lines: Iterator[Line]) -> Iterator[tuple[Line, str]]:
    """Each line with the text of the one after it."""
    held = next(all_lines, None)
    for line in all_lines:
        assert held is not None
        yield held, line[1]
        held = line
    if held is not None:
        yield held, ""
