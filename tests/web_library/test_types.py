"""The types that the JavaScript library's comments state are kept (TypeScript reads them; nothing is compiled)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .conftest import LIBRARY

COMPILER = Path(__file__).parent.parent / "web" / "node_modules" / "typescript" / "bin" / "tsc"


def _check(node: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    if not COMPILER.exists() or not (LIBRARY / "node_modules").is_dir():
        pytest.skip("no TypeScript: make browser")
    return subprocess.run([node, str(COMPILER), *arguments], capture_output=True, text=True, timeout=300)


def test_types_are_kept(node: str) -> None:
    done = _check(node, "-p", str(LIBRARY / "jsconfig.json"))
    assert done.returncode == 0, done.stdout


def test_wrong_types_would_be_found(node: str, tmp_path: Path) -> None:
    caller = tmp_path / "caller.js"
    caller.write_text(f'import {{ open }} from "{LIBRARY}/latelite.js";\n(await open()).search("x", {{ k: "ten" }});\n')
    options = ("--checkJs", "--noEmit", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler")
    done = _check(node, *options, "--skipLibCheck", str(caller))
    assert "Type 'string' is not assignable to type 'number'" in done.stdout
