"""``latelite demo``: search Python's standard library in seven languages.

The documents are the docstrings of the running Python's modules, classes and functions, which every machine has. They
are parsed from source with ``ast``, so nothing is imported or run.
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
# Folders with applications, tests or vendored installers rather than the library itself.
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
# Modules removed by Python 3.13 (PEP 594, PEP 632), so that every Python searches the same ones.
_REMOVED = {
    "aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils", "imghdr", "imp",
    "mailcap", "msilib", "nntplib", "pipes", "smtpd", "sndhdr", "sunau", "telnetlib", "uu", "xdrlib",
}  # fmt: skip


def documents() -> dict[str, tuple[str, str]]:
    """The demo's documents, ``name -> (kind, text)``: functions, classes and modules.

    Methods are left out, because their docstrings depend on the context of a class: a debugger's "Delete all
    breakpoints in filename" would match every question about deleting files.
    """
    return {
        name: (kind, text)
        for name, kind, text in docstrings()
        if kind != "method" and name.split(".")[0] not in _REMOVED
    }


def docstrings() -> Iterator[tuple[str, str, str]]:
    """Public modules, classes, functions and methods of the standard library: (name, kind, text), sorted by file.

    The text is the module, the last part of the name as words, and the first two paragraphs, because later ones are
    mostly lists of options. With the default model and `QUESTIONS`, adding parameter lists brings up similar but wrong
    answers, and without the module one more answer is missed.
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
        for name, kind, text in _members(tree, module, "module"):
            if name not in seen:  # some names are defined once per platform
                seen.add(name)
                yield name, kind, text


def _members(node: ast.Module | ast.ClassDef, name: str, kind: str) -> Iterator[tuple[str, str, str]]:
    if text := ast.get_docstring(node):
        yield name, kind, _document_text(name, text)
    for child in _statements(node.body):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from _members(child, f"{name}.{child.name}", "class")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            text = ast.get_docstring(child)
            if text:
                full = f"{name}.{child.name}"
                yield full, "method" if kind == "class" else "function", _document_text(full, text)


def _document_text(name: str, docstring: str) -> str:
    module, _, rest = name.partition(".")
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", rest.rsplit(".", 1)[-1])
    return f"{module} {words}".rstrip() + ": " + "\n".join(docstring.split("\n\n")[:2])


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a body, including those inside platform checks and import fallbacks."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try):
            yield from _statements(statement.body)
            yield from _statements(statement.orelse)
        else:
            yield statement


def answer(collection: Collection, *, write: Callable[[str], object]) -> None:
    """Update the collection to `documents` and answer `QUESTIONS`.

    Args:
        collection: new, or from an earlier run.
        write: called with lines of text.
    """
    wanted = documents()
    collection.remove(
        [name for name in collection.ids if name not in wanted]
    )  # from another version of Python or latelite
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
