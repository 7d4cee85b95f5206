"""Fixtures that several folders share: tiny checkpoints and the bundles exported from them."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest

from latelite.models import ColBERT
from latelite_export import export
from reference import checkpoints

DEFAULT_BUNDLE = Path(__file__).parent.parent / "models" / "default-onnx"


def pytest_report_header() -> str:
    versions = " ".join(
        f"{package} {importlib.metadata.version(package)}"
        for package in ("onnxruntime", "tokenizers", "numpy", "torch")
    )
    return f"{versions}, providers {onnxruntime.get_available_providers()}, {len(os.sched_getaffinity(0))} CPUs"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a case of the golden matrix -> its checkpoint folder."""
    root = tmp_path_factory.mktemp("checkpoints")
    cases = {case.name: case for case in checkpoints.CASES}

    def folder(name: str) -> Path:
        if not (root / name).exists():
            checkpoints.write(cases[name], root / name)
        return root / name

    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> Callable[[str], Path]:
    """Name of a case of the golden matrix -> its bundle, exported once per run."""
    root = tmp_path_factory.mktemp("bundles")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            export(checkpoint(name), root / name)
        return root / name

    return folder


@pytest.fixture(scope="session")
def model(bundle: Callable[[str], Path]) -> ColBERT:
    """A tiny int8 encoder without query expansion."""
    return ColBERT(bundle("bert-pylate"), threads=2)
