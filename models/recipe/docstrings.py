"""Training text out of Python packages of Debian: docstrings with their names as words.

A docstring's first sentence says what for, and asks for the docstring. It asks for what is left without it, too, a
name and details (the inverse cloze task of Lee et al., 2019): so that "std" comes to mean a standard deviation.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipe.debian import package_files
from recipe.pages import SHORTEST, Page, first_sentence, fold

PACKAGES = (
    "python3-breezy",
    "python3-django",
    "python3-dulwich",
    "python3-fs",
    "python3-fsspec",
    "python3-nltk",
    "python3-numpy",
    "python3-pandas",
    "python3-paramiko",
    "python3-pyfakefs",
    "python3-scipy",
    "python3-statsmodels",
    "python3-sympy",
    "python3-twisted",
)
"""Debian 12 packages that are read, by name. The standard library is not among them: the demo searches it."""
PARAGRAPHS = 2
"""First paragraphs of a docstring that are kept; what follows is mostly lists of options."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Docstring:
    """What is kept of a docstring."""

    name: str
    purpose: str
    """Its first sentence."""
    details: str
    """The rest of its first paragraphs."""


def docstrings(packages: Path) -> Iterator[Page]:
    """Docstrings of public modules, classes and functions with their names (BSD-3-Clause, MIT, GPL-2.0-or-later).

    Source ``docstrings`` has them whole, ``details`` without their first sentences, which ask for both.
    """
    for found in read(packages):
        name = spelled(found.name)
        whole = f"{name}: {found.purpose} {found.details}"
        if len(whole) >= SHORTEST:
            yield Page("docstrings", found.name, "en", whole, (found.purpose,))
        if len(found.details) >= SHORTEST:
            yield Page("details", found.name, "en", f"{name}: {found.details}", (found.purpose,))


def read(packages: Path) -> Iterator[Docstring]:
    """The docstrings of all packages."""
    for package in PACKAGES:
        for match, raw in package_files(packages, package, r"/usr/lib/python3/dist-packages/(.+)\.py"):
            if not re.search(r"(?:^|/)(?:_|tests?(?:/|$)|test_|conf$|setup$)", match[1]):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of invalid escapes in other people's strings
                    tree = ast.parse(raw)
                yield from inside([tree], match[1].replace("/", "."))


def inside(nodes: Sequence[ast.stmt | ast.Module], name: str) -> Iterator[Docstring]:
    """The docstrings of these nodes and of those inside them."""
    for node in nodes:
        if not isinstance(node, Documented):
            continue
        own = getattr(node, "name", "")
        if own.startswith("_"):
            continue
        full = f"{name}.{own}" if own else name
        paragraphs = (ast.get_docstring(node) or "").split("\n\n")
        text = fold(" ".join(paragraphs[:PARAGRAPHS]))
        purpose = first_sentence(fold(paragraphs[0]))
        if len(purpose) >= SHORTEST // 2:
            yield Docstring(full, purpose, text[len(purpose) :].strip())
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from inside(node.body, full)


def spelled(name: str) -> str:
    """The last two parts of a name as words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_.]", " ", ".".join(name.split(".")[-2:]))
