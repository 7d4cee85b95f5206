"""Training text out of Python packages of Debian: docstrings with their names as words."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from recipe.debian import package_files
from recipe.pages import SHORTEST, Page

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


def docstrings(packages: Path) -> Iterator[Page]:
    """Docstrings of public modules, classes and functions with their names (BSD-3-Clause, MIT, GPL-2.0-or-later)."""
    for package in PACKAGES:
        for match, raw in package_files(packages, package, r"/usr/lib/python3/dist-packages/(.+)\.py"):
            if not re.search(r"(?:^|/)(?:_|tests?(?:/|$)|test_|conf$|setup$)", match[1]):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of invalid escapes in other people's strings
                    tree = ast.parse(raw)
                yield from pages_of([tree], match[1].replace("/", "."))


def pages_of(nodes: Sequence[ast.stmt | ast.Module], name: str) -> Iterator[Page]:
    for node in nodes:
        if not isinstance(node, Documented):
            continue
        own = getattr(node, "name", "")
        if own.startswith("_"):
            continue
        full = f"{name}.{own}" if own else name
        paragraphs = (ast.get_docstring(node) or "").split("\n\n")
        text = " ".join(" ".join(paragraphs[:PARAGRAPHS]).split())
        purpose = re.split(r"(?<=[.!?]) ", " ".join(paragraphs[0].split()), maxsplit=1)[0]
        if len(text) >= SHORTEST and len(purpose) >= SHORTEST // 2:
            yield Page("docstrings", full, "en", f"{spelled(full)}: {text}", (purpose,))
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from pages_of(node.body, full)


def spelled(name: str) -> str:
    """The last part of a name as words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name.rsplit(".", 1)[-1])
