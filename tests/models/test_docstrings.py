"""Docstrings of Python packages as training text."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from recipe import docstrings

SOURCE = '''
"""Short."""

class FileTree:
    """A tree of files and folders, held in memory.

    It is never written.

    Details that nobody files it under.
    """

    def removeAll(self):
        """Remove everything below the root. Nothing is asked of you, all of it is gone."""

    def _hidden(self):
        """A long enough docstring of a private method."""
'''


def files(packages: Path, name: str, pattern: str) -> Iterator[tuple[re.Match[str], bytes]]:
    """A package's files, most of which are irrelevant."""
    del packages, name
    for each in ("module", "_private", "tests/module", "package/test_module", "package/tests/x", "a/_core/x", "setup"):
        match = re.fullmatch(pattern, f"/usr/lib/python3/dist-packages/{each}.py")
        assert match
        yield match, SOURCE.encode()


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(docstrings, "PACKAGES", ("one",))
    monkeypatch.setattr(docstrings, "package_files", files)
    return Path("packages")


def test_public_names_are_filed_with_their_first_paragraphs(packages: Path) -> None:
    tree, method = (page for page in docstrings.docstrings(packages) if page.source == "docstrings")
    assert tree.key == "module.FileTree"
    assert tree.text == "module File Tree: A tree of files and folders, held in memory. It is never written."
    assert tree.queries == ("A tree of files and folders, held in memory.",)
    assert method.key == "module.FileTree.removeAll"
    assert (
        method.text
        == "File Tree remove All: Remove everything below the root. Nothing is asked of you, all of it is gone."
    )
    assert method.queries == ("Remove everything below the root.",)


def test_first_sentences_ask_for_what_is_left_without_them(packages: Path) -> None:
    (method,) = (page for page in docstrings.docstrings(packages) if page.source == "details")
    assert method.text == "File Tree remove All: Nothing is asked of you, all of it is gone."
    assert method.queries == ("Remove everything below the root.",)


def test_private_modules_and_tests_are_left_out(packages: Path) -> None:
    assert {found.name.partition(".FileTree")[0] for found in docstrings.read(packages)} == {"module"}


def test_the_standard_library_is_not_read() -> None:
    assert not any(name.startswith(("python3.", "libpython")) for name in docstrings.PACKAGES)
