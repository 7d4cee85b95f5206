"""Training text from Debian's Python packages: docstrings, with their names as words.

A docstring's first sentence states its purpose and is its query. It is also the query of the docstring without that
sentence (inverse cloze, Lee et al., 2019), so that the model learns that "std" means standard deviation.
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
"""Names of the Debian 12 packages used here, without the standard library, which the demo searches."""
PARAGRAPHS = 2
"""Number of paragraphs kept of a docstring; later ones are mostly lists of options."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Docstring:
    """The name and the first paragraphs of a docstring."""

    name: str
    purpose: str
    """First sentence."""
    details: str
    """Rest of the kept paragraphs."""


def docstrings(packages: Path) -> Iterator[Page]:
    """Docstrings of public modules, classes and functions with their names (BSD-3-Clause, MIT, GPL-2.0-or-later).

    Source ``docstrings`` has the whole text, ``details`` all but the first sentence, which is the query of both.
    """
    for found in read(packages):
        name = split_name(found.name)
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
                    warnings.simplefilter("ignore")  # about invalid escapes in the packages' strings
                    tree = ast.parse(raw)
                yield from inside([tree], match[1].replace("/", "."))


def inside(nodes: Sequence[ast.stmt | ast.Module], name: str) -> Iterator[Docstring]:
    """The docstrings of the nodes and, recursively, of their members."""
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


def split_name(name: str) -> str:
    """The last two parts of a name as words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_.]", " ", ".".join(name.split(".")[-2:]))
