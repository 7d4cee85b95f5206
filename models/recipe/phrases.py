"""Short parallel texts that serve the alignment of words alone: they are too short to be asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from recipe.debian import package_files
from recipe.pages import Page

DICTIONARY = "trans-de-en"
GAME = "freecol"
PACKAGES = (DICTIONARY, GAME)
"""Debian 12 packages that are read, by name."""
LOCALES = {"": "en", "_de": "de", "_es_ES": "es", "_fr": "fr", "_it_IT": "it", "_nl": "nl", "_pt_PT": "pt"}
LABEL = re.compile(r"\{[^}]*\}|\[[^]]*\]|\([^)]*\)|<[^>]*>|/[^/]*/")
VARIABLE = re.compile(r"\{\{[^}]*\}\}|%\w+%|\\n")


def phrases(packages: Path) -> Iterator[Page]:
    """The German-English dictionary of Chemnitz, word by word and example by example (GPL-2.0-or-later).

    An entry has as many variants in both languages, the synonyms of each between semicolons, the best first.
    """
    for _, raw in package_files(packages, DICTIONARY, r"/usr/share/trans/de-en"):
        for number, line in enumerate(raw.decode().splitlines()):
            german, separator, english = line.partition(" :: ")
            sides = [LABEL.sub(" ", side).split("|") for side in (german, english)]
            if line.startswith("#") or not separator or len(sides[0]) != len(sides[1]):
                continue
            for at, (one, other) in enumerate(zip(*sides, strict=True)):
                for language, text in (("de", one), ("en", other)):
                    yield Page("phrases", f"{number}:{at}", language, text.split(";")[0])


def colonies(packages: Path) -> Iterator[Page]:
    """Messages of FreeCol, a game of the colonies in America (GPL-2.0-or-later)."""
    names = "|".join(LOCALES)
    pattern = rf"/usr/share/games/freecol/strings/FreeColMessages({names})\.properties"
    for match, raw in package_files(packages, GAME, pattern):
        for line in raw.decode().splitlines():
            key, separator, text = line.partition("=")
            if separator and not line.startswith("#"):
                yield Page("colonies", key.strip(), LOCALES[match[1]], VARIABLE.sub(" ", text))
