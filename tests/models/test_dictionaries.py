"""Dictionaries in dictd's form."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from recipe.dictionaries import PACKAGES, Translations, entries, translations

FREEDICT = """\
00-database-info
 Maintainer: nobody

median /miːdiən/ <n>
1. médiane, (math.) valeur médiane <fem>
2. médian
 see: {middle}
medium /miːdiəm/ (M /em/)
 [am.] moyen <v, trans> Mo.,  /mo/
   Synonym: {mean}
      "of medium size"  - de taille moyenne

to tidy up /x/ <v>
ranger
"""


def test_translations_come_without_notes_and_references() -> None:
    assert list(translations(FREEDICT)) == [
        ("median", ["médiane", "valeur médiane"]),
        ("median", ["médian"]),
        ("medium", ["moyen Mo."]),
        ("tidy up", ["ranger"]),
    ]


def test_the_first_word_that_a_dictionary_knows_is_translated() -> None:
    def files(folder: Path, package: str, pattern: str) -> Iterator[tuple[re.Match[str], bytes]]:
        path = f"/usr/share/dictd/{package.removeprefix('dict-')}.dict.dz"
        match = re.fullmatch(pattern, path)
        assert match
        if package == PACKAGES["fr"]:
            yield match, gzip.compress(FREEDICT.encode())

    translate = Translations(Path("packages"), files)
    assert translate(["average", "Median"]) == (("fr", "médiane, valeur médiane"),)
    assert translate(["unknown"]) == ()


def test_entries_are_headwords_with_their_explanation() -> None:
    text = "actor\n\n   <programming> An {object} that\n   runs alone.\n\n   (1994-11-08)\nAda\n\n   A language.\n"
    assert list(entries(text)) == [("actor", "An object that runs alone."), ("Ada", "A language.")]
