"""Runs what the documentation shows: the example of a module, and a tool's line in the README's table."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| (?P<tool>[^|]+) \| [^|]+ \| `(?P<line>[^`]+)`", re.MULTILINE)
_LINK = re.compile(r"\[[^]]+\]\(runtime/(?P<module>[\w/]+?)(/__init__)?\.py\)")


def run_example(module: str, *, data: Path | None = None, **given: Any) -> dict[str, Any]:
    """Execute the code in the docstring of a module; its names, and as ``value`` what its last line gives.

    ``data`` is the folder that the example calls /data.
    """
    shown = re.search(r"```python\n(.*?)```", importlib.import_module(module).__doc__ or "", re.DOTALL)
    assert shown, f"{module} shows no example"
    return _run(shown[1].replace("/data/", f"{data}/"), given)


def run_line(text: str, **given: Any) -> Any:
    """Evaluate the line of the README's table that has this text, with the names of the module that it links to."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## In other software")[1].split("\n## ")[0]
    (row,) = [row for row in _ROW.finditer(section) if text in row["line"]]
    linked = _LINK.search(row["tool"])
    names = vars(importlib.import_module(linked["module"].replace("/", "."))) if linked else {}
    return _run(row["line"], {**names, **given})["value"]


def _run(code: str, given: dict[str, Any]) -> dict[str, Any]:
    parsed = ast.parse(code)
    names = dict(given)
    if isinstance(parsed.body[-1], ast.Expr):
        parsed.body[-1] = ast.Assign([ast.Name("value", ast.Store())], parsed.body[-1].value)
        ast.fix_missing_locations(parsed)
    exec(compile(parsed, "example", "exec"), names)
    return names
