"""Short parallel texts for the alignment of words."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from recipe import phrases

DICTIONARY = """# Version 1
Haus {n} [arch.]; Heim {n} | Häuser {pl} :: house /haʊs/ (building); home | houses
Er ging nach Hause. :: He went home.
eins | zwei :: one
"""
MESSAGES = {"": "yes=Yes\n# a=b\nname=%name% of {{tag:x|y}}the town\n", "_nl": "yes=Ja\n"}


def files(packages: Path, name: str, pattern: str) -> Iterator[tuple[re.Match[str], bytes]]:
    del packages
    texts = {"/usr/share/trans/de-en": DICTIONARY}
    if name == "freecol":
        texts = {f"/usr/share/games/freecol/strings/FreeColMessages{k}.properties": v for k, v in MESSAGES.items()}
    for path, text in texts.items():
        match = re.fullmatch(pattern, path)
        assert match
        yield match, text.encode()


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phrases, "package_files", files)


def test_the_dictionarys_variants_are_paired_and_their_best_words_kept() -> None:
    found: dict[str, dict[str, str]] = {}
    for page in phrases.phrases(Path("packages")):
        found.setdefault(page.key, {})[page.language] = page.text.strip()
    assert list(found.values()) == [
        {"de": "Haus", "en": "house"},
        {"de": "Häuser", "en": "houses"},
        {"de": "Er ging nach Hause.", "en": "He went home."},
    ]


def test_the_games_messages_lose_their_variables() -> None:
    found = [(page.key, page.language, page.text.split()) for page in phrases.colonies(Path("packages"))]
    assert found == [("yes", "en", ["Yes"]), ("name", "en", ["of", "the", "town"]), ("yes", "nl", ["Ja"])]
