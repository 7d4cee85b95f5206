"""The runtime's imports: nothing that a small computer does not need."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import latelite
import latelite_export

RUNTIME = Path(latelite.__file__).parent
EXPORT = Path(latelite_export.__file__).parent
HEAVY = {"torch", "transformers", "onnx", "optimum", "sentence_transformers", "huggingface_hub", "scipy", "tqdm"}


def modules_after(code: str) -> set[str]:
    """All modules, and the packages of theirs."""
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    names = set(done.stdout.split("\n")[-2].split())
    return names | {name.split(".")[0] for name in names}


def call(module: str, arguments: list[str]) -> str:
    return (
        f"from {module} import main\ntry:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0"
    )


def test_the_whole_runtime_imports_neither_torch_nor_transformers_nor_onnx() -> None:
    loaded = modules_after(
        "from latelite import Collection, indexes, models, rank, retrieve, cli, doctor, info, sources, demo"
    )
    assert {"numpy", "onnxruntime", "tokenizers"} <= loaded
    assert not loaded & (HEAVY | {"latelite_export", "hnswlib"})


def test_the_first_answer_does_without_masked_arrays(bundle: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "notes.lt"
    with latelite.Collection(folder, bundle("bert-pylate")) as notes:
        notes.add(["dog", "cat"], ["The dog barks.", "The cat sleeps."])
    loaded = modules_after(f"import latelite; latelite.Collection({str(folder)!r}, read_only=True).search('dog')")
    assert "numpy.ma" not in loaded


@pytest.mark.parametrize("arguments", [["--help"], ["index", "--help"], ["search", "--help"], ["--version"]])
def test_help_is_instant(arguments: list[str]) -> None:
    loaded = modules_after(call("latelite.cli", arguments))
    assert not loaded & (HEAVY | {"onnxruntime", "numpy", "tokenizers"})


def test_export_help_does_not_load_torch() -> None:
    loaded = modules_after(call("latelite_export.cli", ["--help"]))
    assert not loaded & (HEAVY | {"onnxruntime"})


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", sorted(RUNTIME.rglob("*.py")), ids=lambda p: str(p.relative_to(RUNTIME)))
def test_the_device_never_imports_the_workstation(file: Path) -> None:
    assert not any(name.split(".")[0] in HEAVY | {"latelite_export"} for name in imported(file))


@pytest.mark.parametrize("file", sorted(EXPORT.rglob("*.py")), ids=lambda p: str(p.relative_to(EXPORT)))
def test_the_workstation_knows_only_the_contract_of_the_device(file: Path) -> None:
    """Except in the gate."""
    contract = {"latelite", "latelite.bundle", "latelite.manifest", "latelite.errors", "latelite.files"}
    used = {name for name in imported(file) if name.split(".")[0] == "latelite"}
    foreign = {name for name in used if not any(name == c or name.startswith(c + ".") for c in contract - {"latelite"})}
    assert file.name in {"verify.py", "device.py"} or foreign <= {"latelite", "latelite.__version__"}


@pytest.mark.parametrize("file", sorted(RUNTIME.rglob("*.py")), ids=lambda p: str(p.relative_to(RUNTIME)))
def test_the_library_logs_instead_of_printing(file: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    prints = [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
    assert not prints or file.name == "cli.py" or file.parent.name == "commands"
