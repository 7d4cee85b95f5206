"""The exporter imports only the manifest of the runtime, except in the gate."""

from __future__ import annotations

import ast
from pathlib import Path

import latelite_export

SHARED = {"latelite.bundle", "latelite.manifest", "latelite.errors", "latelite.files"}
FOLDER = Path(latelite_export.__file__).parent


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.split(".")[0] == "latelite"}


def test_only_the_gate_imports_the_runtime() -> None:
    users = {path.name for path in FOLDER.rglob("*.py") if imported(path) - SHARED}
    assert users == {"verify.py"}


def test_nothing_prints_but_the_command_line() -> None:
    for path in FOLDER.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        printing = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        assert path.name == "cli.py" or not printing
