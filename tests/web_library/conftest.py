"""The JavaScript library, asked through Node; what it takes to export a collection for it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from latelite.web.assets import folder_of_assets
from latelite.web.site import library_folder

HERE = Path(__file__).parent
LIBRARY = Path(__file__).parents[2] / "runtime" / "web"

Ask = Callable[..., list[Any]]


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, new enough."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node.js is not installed")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < 20:
        pytest.skip(f"Node.js is {version}, the library needs 20")
    return found


@pytest.fixture(scope="session")
def assets(node: str) -> Path:
    """The npm packages that ``make browser`` puts into runtime/web."""
    installed = LIBRARY / "node_modules"
    if not installed.is_dir():
        pytest.skip("no JavaScript packages: make browser")
    return folder_of_assets(installed)


@pytest.fixture(scope="session")
def ask(node: str) -> Ask:
    """``ask(site, (method, *arguments), ...)``: what the library answers; an error is raised unless ``errors=True``."""

    def asked(site: Path | None, *calls: Sequence[Any], errors: bool = False) -> list[Any]:
        question = {
            "site": None if site is None else str(site),
            "library": str(library_folder()),
            "calls": [_call(call) for call in calls],
        }
        done = subprocess.run(
            [node, str(HERE / "ask.mjs")], input=json.dumps(question), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout)
        if errors:
            return list(answers)
        for answer in answers:
            assert "error" not in answer, answer["error"]
        return [answer.get("result") for answer in answers]

    return asked


def _call(call: Sequence[Any]) -> dict[str, Any]:
    name, *arguments = call
    module, _, method = name.rpartition(".")
    return {"module": module or None, "method": method, "args": arguments}
