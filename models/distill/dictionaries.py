"""Dictionaries in dictd's form: FreeDict's translations out of English, and entries of an English one."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PACKAGES = {
    "de": "dict-freedict-eng-deu",
    "es": "dict-freedict-eng-spa",
    "fr": "dict-freedict-eng-fra",
    "it": "dict-freedict-eng-ita",
    "nl": "dict-freedict-eng-nld",
    "pt": "dict-freedict-eng-por",
}
"""Debian packages of FreeDict's dictionaries from English, by language."""
HEADWORD = re.compile(r"(\S[^/]*?) /[^/]*/.*")
NOTES = re.compile(r"\s*(?:<[^>]*>|\[[^]]*\]|\([^)]*\)|\{[^}]*\})\s*|^\d+\.\s*")
CROSS_REFERENCE = re.compile(r"^\s|^(?:see|Synonym|Note|Example)")

Files = Callable[[Path, str, str], Iterator[tuple[re.Match[str], bytes]]]


def translations(text: str) -> dict[str, list[str]]:
    """English word -> its translations, in the order given."""
    found: dict[str, list[str]] = {}
    word = ""
    for line in text.splitlines():
        if match := HEADWORD.fullmatch(line):
            word = match[1].lower()
        elif not line.strip():
            word = ""
        elif word and not CROSS_REFERENCE.match(line):
            senses = (NOTES.sub(" ", part).strip() for part in re.split(r"[,;]", NOTES.sub("", line, count=1)))
            found.setdefault(word, []).extend(sense for sense in senses if 1 < len(sense) <= 40)
    return found


class Translations:
    """Translations of English words into the other six languages."""

    def __init__(self, packages: Path, files: Files) -> None:
        self.by_language = {}
        for language, package in PACKAGES.items():
            name = package.removeprefix("dict-")
            for _, raw in files(packages, package, rf"/usr/share/dictd/{name}\.dict\.dz"):
                self.by_language[language] = translations(gzip.decompress(raw).decode("utf-8", errors="ignore"))

    def __call__(self, words: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Up to three languages' translations of the first word that has any, each with its language."""
        found = []
        for language, known in self.by_language.items():
            for word in words:
                if senses := known.get(word.lower()):
                    found.append((hashlib.sha1(f"{word}{language}".encode()).digest(), language, ", ".join(senses[:2])))
                    break
        return tuple((language, text) for _, language, text in sorted(found)[:3])


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Headwords at the line's beginning, their indented explanation below."""
    word, lines = "", [""]
    for line in [*text.splitlines(), "end"]:
        if line and not line[0].isspace():
            if word and len(body := re.sub(r"[{}]|<[\w ,]+>|\([\d-]+\)\s*$", "", " ".join(lines)).strip()) > 1:
                yield word, body
            word, lines = line.strip(), []
        else:
            lines.append(line.strip())
