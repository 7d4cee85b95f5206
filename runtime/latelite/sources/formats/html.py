"""HTML: the visible text of a page, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import IO

from latelite.sources.blocks import LINE, PARAGRAPH, Block, Outline, heading_strength

_UNSEEN = frozenset({"script", "style", "template", "noscript", "svg", "math", "nav", "iframe", "object", "select"})
_PARAGRAPHS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hr", "li", "main", "ol", "p", "pre", "section", "summary",
    "table", "tbody", "tfoot", "thead", "tr", "ul",
})  # fmt: skip
_VOID = frozenset(
    {"br", "hr", "img", "input", "link", "meta", "area", "base", "col", "embed", "source", "track", "wbr"}
)
_SPACE = re.compile(r"\s+")
_BLANKS = re.compile(r"[^\S\t]+")
_READ = 1 << 16
_PENDING = 1 << 20  # maximum characters of a tag or comment, so that an unclosed one cannot fill the memory


def read(text: IO[str], *, page: int | None = None, outline: Outline | None = None) -> Iterator[Block]:
    """A block for each paragraph, cell row and heading.

    Args:
        text: the page.
        page: page number of the blocks, for chapters of a book.
        outline: headings above the page's own.
    """
    parser = _Reader(page, outline or Outline())
    while chunk := text.read(_READ):
        parser.feed(chunk.replace("\0", " "))
        if len(parser.rawdata) > _PENDING:
            raise ValueError(f"a tag or comment at line {parser.getpos()[0]} does not end")
        yield from parser.take()
    parser.close()
    parser.end_block()
    yield from parser.take()


class _Reader(HTMLParser):
    def __init__(self, page: int | None, outline: Outline) -> None:
        super().__init__(convert_charrefs=True)
        self._page = page
        self._outline = outline
        self._depth = len(outline.path)
        self._title: str | None = None
        self._done: list[Block] = []
        self._parts: list[str] = []
        self._line = 1
        self._heading = 0
        self._strength = PARAGRAPH
        self._unseen: list[str] = []
        self._preformatted = 0
        self._in_title = False

    def take(self) -> list[Block]:
        done, self._done = self._done, []
        return done

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN or (self._unseen and tag not in _VOID):
            self._unseen.append(tag)
            return
        if self._unseen:
            return
        if tag == "title" and self._title is None:
            self._in_title = True
        elif tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self.end_block()
            self._heading = int(tag[1])
        elif tag == "br":
            self._parts.append("\n")
        elif tag in ("td", "th"):
            if self._parts:
                self._parts.append("\t")
        elif tag in _PARAGRAPHS:
            self.end_block()
            self._preformatted += tag == "pre"
            if tag == "tr":
                self._strength = LINE

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._unseen:
            if tag in self._unseen:
                del self._unseen[len(self._unseen) - 1 - self._unseen[::-1].index(tag) :]
            return
        if tag == "title":
            self._in_title = False
        elif tag in _PARAGRAPHS or tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self.end_block()
            self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if self._in_title:
            self._title = " ".join(f"{self._title or ''}{data}".split()) or None
            return
        if not self._parts:
            if not data.strip():
                return
            lead = data[: len(data) - len(data.lstrip())]
            self._line = self.getpos()[0] + lead.count("\n")
        self._parts.append(data if self._preformatted else _SPACE.sub(" ", data))

    def end_block(self) -> None:
        """Close the open paragraph."""
        text = "".join(self._parts)
        if not self._preformatted:
            text = "\n".join(_BLANKS.sub(" ", line).strip() for line in text.split("\n"))
        text = text.strip("\n") if self._preformatted else text.strip()
        strength = self._strength
        if self._heading and text:
            strength = heading_strength(self._depth + self._heading)
            self._outline.enter(self._depth + self._heading, text)
        if text:
            line = None if self._page is not None else self._line
            self._done.append(Block(f"{text}\n", strength, line, self._page, self._outline.path, self._title))
            self._strength = PARAGRAPH
        self._parts.clear()
        self._heading = 0
