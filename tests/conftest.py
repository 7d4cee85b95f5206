"""Shared fixtures, and which folders are skipped if a package is missing.

The runtime's tests need pytest and hypothesis beside the runtime: they use the tiny bundles in tests/data. What needs
the export toolchain, a compiler or an extra is left out, with the reason, unless LATELITE_TEST_ALL is set, as
``make test-all`` does: then everything has to be there.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import onnxruntime
import pytest
from hypothesis import settings

import latelite
from latelite import cli
from latelite.cpus import usable_cpus
from latelite.errors import MissingExtraError
from latelite.models import ColBERT

TESTS = Path(__file__).parent
DEFAULT_BUNDLE = TESTS.parent / "models" / "default-onnx"
BUNDLES = TESTS / "data" / "bundles"

Run = Callable[..., tuple[int, str, str]]
"""Arguments of a command -> exit status, standard output, standard error."""

_NOBODY = 65534
_EVERYTHING = os.environ.get("LATELITE_TEST_ALL") == "1"
_TOOLCHAIN = ("torch", "transformers", "onnx", "safetensors")
_NEEDED = {
    "export": _TOOLCHAIN,
    "reference": _TOOLCHAIN,
    "models": (*_TOOLCHAIN, "matplotlib"),
    "web": ("starlette", "uvicorn", "httpx"),
    "benchmarks": (*_TOOLCHAIN, "scipy", "ir_measures", "bm25s"),
}
"""Folder -> packages that its tests import."""
_MISSING = {
    folder: [package for package in packages if importlib.util.find_spec(package) is None]
    for folder, packages in _NEEDED.items()
}
collect_ignore = [] if _EVERYTHING else [folder for folder, missing in _MISSING.items() if missing]


# On a busy machine any example may be slow.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_configure() -> None:
    missing = {package for packages in _MISSING.values() for package in packages}
    if shutil.which("c++") and importlib.util.find_spec("hnswlib") is None:
        missing.add("hnswlib")
    if _EVERYTHING and missing:
        raise pytest.UsageError(f"LATELITE_TEST_ALL is set, but not installed: {', '.join(sorted(missing))}.")


def pytest_report_header() -> list[str]:
    def version(package: str) -> str:
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            return f"no {package}"

    versions = " ".join(version(package) for package in ("onnxruntime", "tokenizers", "numpy", "torch", "hnswlib"))
    return [
        f"latelite {latelite.__version__} in {Path(latelite.__file__).parent}",
        f"{versions}, providers {onnxruntime.get_available_providers()}, {usable_cpus()} CPUs",
        *(
            f"left out: tests/{folder}, without {', '.join(_MISSING[folder])} (`make test-all` installs it)"
            for folder in collect_ignore
        ),
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    with _skipping_what_needs_an_extra():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    with _skipping_what_needs_an_extra():
        return (yield)


@contextlib.contextmanager
def _skipping_what_needs_an_extra() -> Iterator[None]:
    """Skip a test that raises MissingExtraError, with the error's message."""
    try:
        yield
    except MissingExtraError as error:
        if _EVERYTHING and shutil.which("c++"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a case of the golden matrix -> its checkpoint folder."""
    from reference import checkpoints

    root = tmp_path_factory.mktemp("checkpoints")
    cases = {case.name: case for case in checkpoints.CASES}

    def folder(name: str) -> Path:
        if not (root / name).exists():
            checkpoints.write(cases[name], root / name)
        return root / name

    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Name of a case of the golden matrix -> its bundle: a copy of the one in tests/data, or exported once per run."""
    root = tmp_path_factory.mktemp("bundles")

    def folder(name: str) -> Path:
        if (root / name).exists():
            return root / name
        if (BUNDLES / name).exists():
            return Path(shutil.copytree(BUNDLES / name, root / name))
        if _MISSING["export"]:
            pytest.skip(f"exports {name}, which needs the toolchain: {', '.join(_MISSING['export'])} (make test-all)")
        from latelite_export import export

        export(request.getfixturevalue("checkpoint")(name), root / name)
        return root / name

    return folder


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that other users can enter, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder).resolve()


@contextlib.contextmanager
def ordinary_user(folder: Path) -> Iterator[None]:
    """Drop root's privileges, and become the owner of ``folder``.

    What the code under test imports has to be imported before: that user may not be able to read it.
    """
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY)
    groups = os.getgroups()
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, 0)
    os.setresuid(_NOBODY, _NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


@pytest.fixture(scope="session")
def model(bundle: Callable[[str], Path]) -> ColBERT:
    """A tiny int8 encoder without query expansion."""
    return ColBERT(bundle("bert-pylate"), precision="int8", threads=2)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command of ``latelite`` in this process: its exit status, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@contextlib.contextmanager
def small_file_system(folder: Path, size: str) -> Iterator[Path]:
    """An in-memory file system at ``folder``; skips if mounting is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting takes root: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
