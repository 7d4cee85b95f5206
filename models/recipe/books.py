"""Handbooks in HTML and DocBook: sections become passages, and translations of a passage share its key.

A passage is a run of paragraphs below one heading. Paragraphs that are untranslated in a translation are dropped. If a
section has another number of paragraphs than the original's, its passages have keys of their own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

LONGEST_PASSAGE = 900
"""Maximum characters of a passage of several paragraphs."""
SHORTEST_PARAGRAPH = 25

ELEMENT = re.compile(r"<(title|h[1-6]|para|p|simpara)\b[^>]*>(.*?)</\1>", re.S)
HEAD = re.compile(r"<head\b.*?</head>|<div class=\"?nav(?:header|footer)\"?.*?</table>", re.S)
TAG = re.compile(r"<[^>]*>")
ENTITY = re.compile(r"&([\w.-]+);")
NUMBERING = re.compile(r"^(?:(?:Chapter|Kapitel|Capítulo|Chapitre|Capitolo|Hoofdstuk)\s)?[\dA-Z]*(?:\.\d+)*\.\s+")


def plain(markup: str) -> str:
    """Text of a markup fragment with white space folded; entities of its own schema become their names."""
    return " ".join(ENTITY.sub(r"\1", html.unescape(TAG.sub("", markup))).split())


@dataclass
class Section:
    """A heading and its paragraphs."""

    title: str
    paragraphs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Passage:
    """A run of paragraphs; passages with the same key are translations of each other."""

    key: str
    language: str
    title: str
    text: str


def read_sections(source: str) -> list[Section]:
    """Headings and paragraphs of an HTML or DocBook file, in order."""
    sections = [Section("")]
    for match in ELEMENT.finditer(HEAD.sub("", source)):
        text = plain(match[2])
        if match[1] == "title" or match[1].startswith("h"):
            sections.append(Section(NUMBERING.sub("", text)))
        elif len(text) >= SHORTEST_PARAGRAPH:
            sections[-1].paragraphs.append(text)
    return [section for section in sections if section.paragraphs]


def runs(paragraphs: list[str]) -> list[slice]:
    """Split paragraphs into runs of at most ``LONGEST_PASSAGE`` characters, or of one paragraph."""
    found, start, length = [], 0, 0
    for number, paragraph in enumerate(paragraphs):
        if length and length + len(paragraph) > LONGEST_PASSAGE:
            found.append(slice(start, number))
            start, length = number, 0
        length += len(paragraph)
    return [*found, slice(start, len(paragraphs))]


def passages(name: str, versions: Mapping[str, str]) -> Iterator[Passage]:
    """Passages of one file of a book, given its versions by language; all are split where the original is."""
    read = {language: read_sections(source) for language, source in versions.items()}
    original = read.get("en", [])
    english = {text for section in original for text in section.paragraphs}
    for language, sections in read.items():
        for number, section in enumerate(sections):
            like = original[number] if len(sections) == len(original) else None
            aligned = like is not None and len(like.paragraphs) == len(section.paragraphs)
            for place in runs(like.paragraphs if like is not None and aligned else section.paragraphs):
                kept = [text for text in section.paragraphs[place] if language == "en" or text not in english]
                if kept:
                    key = f"{name}#{number}:{place.start}" + ("" if aligned else f":{language}")
                    yield Passage(key, language, section.title, " ".join(kept))
