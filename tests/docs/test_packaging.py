"""Package metadata: few base dependencies, and an extra with all others."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INTEGRATIONS = {
    "langchain",
    "haystack",
    "llamaindex",
    "parquet",
    "lance",
    "qdrant",
    "ray",
    "ray-serve",
    "spark",
    "mteb",
}
"""Each belongs into the environment of its project; hundreds of megabytes together."""
EXTRAS = PROJECT["optional-dependencies"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_base_is_three_packages() -> None:
    names = [re.match(r"[\w-]+", requirement)[0] for requirement in PROJECT["dependencies"]]  # type: ignore[index]
    assert names == ["numpy", "onnxruntime", "tokenizers"]


def test_the_extra_named_all_has_every_other_that_needs_no_compiler() -> None:
    (named,) = EXTRAS["all"]
    assert set(re.findall(r"[\w-]+", named.split("[")[1])) == set(EXTRAS) - {"all", "hnsw", *INTEGRATIONS}


def test_the_first_two_commands_need_no_extra_and_no_toolchain() -> None:
    for target in ("runtime", "test"):
        recipe = re.search(rf"^\$\(VENV\)/\.{target}: .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
        assert recipe
        assert not re.search(r"\[|toolchain|hnsw|torch", recipe[1])
    assert re.search(r"^demo: \$\(VENV\)/\.runtime ", MAKEFILE, re.MULTILINE)
    assert re.search(r"^test: \$\(VENV\)/\.test ", MAKEFILE, re.MULTILINE)


def test_the_bundle_is_kept_by_clean_and_by_git() -> None:
    clean = re.search(r"^clean:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert clean
    assert "default-onnx" not in clean[1]
    assert "DEFAULT_BUNDLE" not in clean[1]
    assert "default-onnx" not in (ROOT / ".gitignore").read_text(encoding="utf-8")
