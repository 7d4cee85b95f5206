"""What is missing is said in one sentence with the command that installs it, and that command does."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from pathlib import Path

import pytest

from conftest import Run
from latelite import Collection
from latelite.errors import MissingExtraError
from latelite.models import ColBERT

from .conftest import BUNDLE

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
MODULES = {
    "langchain": ("langchain_core", "langchain-core"),
    "haystack": ("haystack", "haystack-ai"),
    "llamaindex": ("llama_index", "llama-index-core"),
    "parquet": ("pyarrow", "pyarrow"),
    "lance": ("lancedb", "lancedb"),
    "mteb": ("mteb", "mteb"),
    "ray": ("ray", "ray"),
    "spark": ("pyarrow", "pyarrow"),
}
"""Module, and extra, of this name -> what it imports, and the distribution that brings that."""


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if only the runtime's own dependencies were installed."""
    needed = {package for package, _ in MODULES.values()} | {"qdrant_edge"}
    for name in list(sys.modules):
        if name.split(".")[0] in needed or name.startswith("latelite.integrations."):
            monkeypatch.delitem(sys.modules, name)
    for package in needed:
        monkeypatch.setitem(sys.modules, package, None)


def check_sentence(said: str, extra: str, distribution: str) -> None:
    assert f'pip install "latelite[{extra}]"' in said
    assert said.count("\n") == 0
    assert any(re.match(rf"{distribution}\b", requirement) for requirement in EXTRAS[extra])


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("extra", MODULES)
def test_a_module_names_its_extra(extra: str) -> None:
    with pytest.raises(MissingExtraError) as raised:
        importlib.import_module(f"latelite.integrations.{extra}")
    assert isinstance(raised.value, ImportError)
    check_sentence(str(raised.value), extra, MODULES[extra][1])


@pytest.mark.usefixtures("without")
def test_a_project_that_is_too_old_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", type(sys)("pyarrow"))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", type(sys)("pyarrow.parquet"))
    monkeypatch.setitem(sys.modules, "mteb", type(sys)("mteb"))
    monkeypatch.setitem(sys.modules, "mteb.models", type(sys)("mteb.models"))
    with pytest.raises(MissingExtraError, match=r'version.*ModelMeta.*pip install -U "latelite\[mteb\]"'):
        importlib.import_module("latelite.integrations.mteb")


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize(
    ("target", "distribution"), [("parquet", "pyarrow"), ("lance", "lancedb"), ("qdrant", "qdrant-edge-py")]
)
def test_an_export_names_its_extra_and_leaves_nothing(
    run: Run, tmp_path: Path, encoder: ColBERT, target: str, distribution: str
) -> None:
    with Collection(tmp_path / "notes.lt", encoder) as collection:
        collection.add(["bread"], ["Rye bread needs a hot oven."])
    status, _, error = run("export", tmp_path / "notes.lt", "--to", target, tmp_path / "out")
    assert status == 1
    check_sentence(error.rstrip("\n"), target, distribution)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.lt"]


@pytest.mark.usefixtures("without")
def test_an_import_names_its_extra_and_makes_no_collection(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.parquet").write_bytes(b"PAR1")
    status, _, error = run("import", tmp_path / "notes.parquet", tmp_path / "notes.lt", "--model", BUNDLE)
    assert status == 1
    check_sentence(error.rstrip("\n"), "parquet", "pyarrow")
    assert not (tmp_path / "notes.lt").exists()
