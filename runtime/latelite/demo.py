"""Ask Python's standard library in seven languages: ``latelite demo``.

The documents are the docstrings of the running Python's modules, classes and functions, so every machine has them. They
are read with ``ast`` from the library's source files: nothing is imported and nothing is run.
"""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from latelite.collection import Collection

QUESTIONS = (
    ("en", "How do I delete a directory tree?"),
    ("de", "Wie lege ich eine temporäre Datei an?"),
    ("de", "Wie lösche ich ein Verzeichnis mit allen Dateien?"),
    ("fr", "Comment calculer la médiane d'une liste ?"),
    ("es", "¿Cómo calculo la desviación estándar?"),
    ("it", "Come si crea un archivio ZIP?"),
    ("nl", "Hoe verplaats ik een bestand naar een andere map?"),
    ("pt", "Como descodificar um texto em base64?"),
)
# Folders of the library that hold applications, tests or vendored installers rather than the library itself.
_LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "turtledemo",
    "ensurepip",
    "site-packages",
    "pydoc_data",
    "encodings",
}
# Modules that Python 3.13 no longer has (PEP 594, PEP 632): answers come from the same ones on every Python.
_REMOVED = {
    "aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils", "imghdr", "imp",
    "mailcap", "msilib", "nntplib", "pipes", "smtpd", "sndhdr", "sunau", "telnetlib", "uu", "xdrlib",
}  # fmt: skip


def documents() -> dict[str, tuple[str, str]]:
    """What the demo searches, ``name -> (kind, text)``: functions, classes and modules.

    Methods are left out: their docstrings lean on a class that a how-to question is not about. "Delete all breakpoints
    in filename", of a debugger, is near to every question about deleting files.
    """
    return {
        name: (kind, text)
        for name, kind, text in docstrings()
        if kind != "method" and name.split(".")[0] not in _REMOVED
    }


def docstrings() -> Iterator[tuple[str, str, str]]:
    """Public modules, classes, functions and methods of the standard library: (name, kind, text), sorted by file.

    The text is what a person would file the docstring under: the module, the last part of the name as words, the first
    two paragraphs. Measured on the questions below with the default model: parameter lists pull in look-alikes, without
    the module one answer more is missed, and what comes after the second paragraph is mostly lists of options.
    """
    library = Path(sysconfig.get_paths()["stdlib"])
    seen = set()
    for file in sorted(library.rglob("*.py")):
        parts = file.relative_to(library).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if not parts or _LEFT_OUT & set(parts) or any(part.startswith("_") or "-" in part for part in parts):
            continue
        module = ".".join(parts)
        tree = ast.parse(file.read_bytes())
        for name, kind, text in _documented(tree, module, "module"):
            if name not in seen:  # platform branches define some names twice
                seen.add(name)
                yield name, kind, text


def _documented(node: ast.Module | ast.ClassDef, name: str, kind: str) -> Iterator[tuple[str, str, str]]:
    if text := ast.get_docstring(node):
        yield name, kind, _filed(name, text)
    for child in _statements(node.body):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from _documented(child, f"{name}.{child.name}", "class")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            text = ast.get_docstring(child)
            if text:
                full = f"{name}.{child.name}"
                yield full, "method" if kind == "class" else "function", _filed(full, text)


def _filed(name: str, docstring: str) -> str:
    module, _, rest = name.partition(".")
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", rest.rsplit(".", 1)[-1])
    return f"{module} {words}".rstrip() + ": " + "\n".join(docstring.split("\n\n")[:2])


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a body, those behind platform checks and import fallbacks included."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try):
            yield from _statements(statement.body)
            yield from _statements(statement.orelse)
        else:
            yield statement


def answer(collection: Collection, *, write: Callable[[str], object]) -> None:
    """Bring the collection up to date with `documents` and answer `QUESTIONS`.

    Args:
        collection: of docstrings, new or from an earlier run.
        write: is given lines of text.
    """
    wanted = documents()
    collection.remove([name for name in collection.ids if name not in wanted])  # of another Python or latelite
    new = [name for name in wanted if name not in collection or collection.get(name).text != wanted[name][1]]
    write(f"{len(wanted)} docstrings of Python {sys.version.split()[0]}, {len(new)} to index")
    start = time.perf_counter()
    collection.add(
        new,
        [wanted[name][1] for name in new],
        [{"kind": wanted[name][0], "module": name.split(".")[0]} for name in new],
    )
    if new:
        seconds = time.perf_counter() - start
        write(f"indexed in {seconds:.1f} s, {len(new) / seconds:.0f} documents a second")
    for language, question in QUESTIONS:
        start = time.perf_counter()
        hits = collection.search(question, k=3)
        milliseconds = (time.perf_counter() - start) * 1000
        write(f"\n[{language}] {question}  ({milliseconds:.0f} ms)")
        for hit in hits:
            write(f"  {hit.score:6.2f}  {hit.id:<40} {' '.join(hit.text.split())[:76]}")


if __name__ == "__main__":
    from latelite.cli import main

    sys.exit(main(["demo", *sys.argv[1:]]))
