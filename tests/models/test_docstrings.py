"""Docstrings of Python packages as training text."""

import ast
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
        """Remove everything below the root. Nothing is asked."""

    def _hidden(self):
        """A long enough docstring of a private method."""
'''


def test_public_names_are_filed_with_their_first_paragraphs() -> None:
    tree, method = docstrings.pages_of([ast.parse(SOURCE)], "package.module")
    assert tree.key == "package.module.FileTree"
    assert tree.text == "File Tree: A tree of files and folders, held in memory. It is never written."
    assert tree.queries == ("A tree of files and folders, held in memory.",)
    assert method.key == "package.module.FileTree.removeAll"
    assert method.text == "remove All: Remove everything below the root. Nothing is asked."
    assert method.queries == ("Remove everything below the root.",)


def test_private_modules_and_tests_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["module", "_private", "tests/module", "package/test_module", "package/tests/x", "package/_core/x", "setup"]

    def files(packages: Path, name: str, pattern: str) -> Iterator[tuple[re.Match[str], bytes]]:
        del packages, name
        for each in names:
            match = re.fullmatch(pattern, f"/usr/lib/python3/dist-packages/{each}.py")
            assert match
            yield match, SOURCE.encode()

    monkeypatch.setattr(docstrings, "package_files", files)
    found = {page.key.rpartition(".FileTree")[0] for page in docstrings.docstrings(Path("packages"))}
    assert found == {"module"}


def test_the_standard_library_is_not_read() -> None:
    assert not any(name.startswith(("python3.", "libpython")) for name in docstrings.PACKAGES)
