"""Dictionaries in dictd's form: FreeDict's translations out of English, and entries of an English one."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

CODES = {"de": "deu", "es": "spa", "fr": "fra", "it": "ita", "nl": "nld", "pt": "por"}
"""The languages as FreeDict calls them."""
PACKAGES = {language: f"dict-freedict-eng-{code}" for language, code in CODES.items()}
"""Debian packages of FreeDict's dictionaries from English, by language."""
BACK = {language: f"dict-freedict-{code}-eng" for language, code in CODES.items()}
"""The same into English."""
HEADWORD = re.compile(r"(?:to )?([^\s<>,;][^/<>,;]*?) /[^/]*/.*")
LABEL = re.compile(r"\[[^]]*\]|\([^)]*\)|\{[^}]*\}|<[^>,]*,[^>]*>|^\s*\d+\.")
GRAMMAR = re.compile(r"\s*<.*")
CROSS_REFERENCE = re.compile(r"\s*(?:see|Synonyms?|Notes?|Examples?)\b|\s*\"")

Files = Callable[[Path, str, str], Iterator[tuple[re.Match[str], bytes]]]


def read(raw: bytes) -> str:
    """A dictionary's text out of its compressed file."""
    return gzip.decompress(raw).decode("utf-8", errors="ignore")


def translations(text: str) -> Iterator[tuple[str, list[str]]]:
    """Headwords and their translations, in the order given; a headword may come several times.

    A headword stands before its pronunciation, infinitives after "to"; translations follow on lines of their own.
    """
    word = ""
    for line in text.splitlines():
        if match := HEADWORD.fullmatch(line):
            word = match[1]
        elif not line.strip():
            word = ""
        elif word and not CROSS_REFERENCE.match(line):
            senses = (GRAMMAR.sub("", part).strip() for part in re.split(r"[,;]", LABEL.sub(" ", line)))
            yield word, [" ".join(sense.split()) for sense in senses if 1 < len(sense) <= 40 and "/" not in sense]


def package_translations(packages: Path, package: str, files: Files) -> Iterator[tuple[str, list[str]]]:
    """The translations of one of FreeDict's packages."""
    name = package.removeprefix("dict-")
    for _, raw in files(packages, package, rf"/usr/share/dictd/{name}\.dict\.dz"):
        yield from translations(read(raw))


class Translations:
    """Translations of English words into the other six languages."""

    def __init__(self, packages: Path, files: Files) -> None:
        self.by_language: dict[str, dict[str, list[str]]] = {}
        for language, package in PACKAGES.items():
            found: dict[str, list[str]] = {}
            for word, senses in package_translations(packages, package, files):
                found.setdefault(word.lower(), []).extend(senses)
            self.by_language[language] = found

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
