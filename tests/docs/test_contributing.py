"""CONTRIBUTING.md names existing paths and functions, and its order of rooms is that of the imports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "runtime" / "latelite"
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

# Where a path in the text may begin.
_BASES = (ROOT, PACKAGE, PACKAGE / "storage", ROOT / "export" / "latelite_export", ROOT / "tests", ROOT / "benchmarks")


def _rooms() -> list[list[str]]:
    """The rows of the table of rooms: module or package names, from the bottom up."""
    table = GUIDE.split("| room | what it knows |")[1].split("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [[name.rstrip("/").removesuffix(".py") for name in re.findall(r"`([^`]+)`", row)] for row in rows]


def _imported(path: Path) -> set[str]:
    """Rooms of latelite that a module imports when it is imported itself."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "latelite":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:py|md))`", GUIDE))))
def test_every_path_exists(path: str) -> None:
    assert any((base / path).exists() for base in _BASES), path


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:\w+\.)?[A-Za-z_]\w*\.[A-Za-z_]\w*)`", GUIDE))))
def test_every_function_exists(name: str) -> None:
    """`module.function` and `Class.method` as the text names them; a method may be inherited in its folder."""
    owner, attribute = name.split(".")[-2:]
    if attribute in ("py", "md", "json", "sqlite", "toml"):
        return
    modules = [module for base in _BASES for module in (*base.rglob(f"{owner}.py"), *base.glob(f"{owner}/__init__.py"))]
    for package in () if modules else (PACKAGE, ROOT / "export"):
        for module in package.rglob("*.py"):
            if re.search(rf"^class {owner}\b", module.read_text(encoding="utf-8"), re.MULTILINE):
                modules += module.parent.glob("*.py")
    pattern = re.compile(rf"^\s*(def|class) {attribute}\b|^{attribute}\b.*=", re.MULTILINE)
    assert any(pattern.search(module.read_text(encoding="utf-8")) for module in modules), name


def test_a_room_imports_only_rooms_above_it() -> None:
    rooms = _rooms()
    level = {name: row for row, names in enumerate(rooms) for name in names}
    assert len(level) > 20
    wrong = []
    for name, row in level.items():
        modules = (
            [PACKAGE / f"{name}.py"] if (PACKAGE / f"{name}.py").exists() else sorted((PACKAGE / name).rglob("*.py"))
        )
        assert modules, name
        for module in modules:
            wrong += [
                f"{module.relative_to(PACKAGE)} imports {other}"
                for other in _imported(module)
                if level.get(other, -1) > row
            ]
    assert not wrong, wrong


def test_glossary_has_one_meaning_for_each_word() -> None:
    words = re.findall(r"^\| ([a-zA-Z ,]+) \| ", GUIDE.split("## Glossary")[1].split("## ")[0], re.MULTILINE)
    assert len(words) > 15
    assert len(words) == len(set(words))
