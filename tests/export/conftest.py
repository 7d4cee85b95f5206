"""Fixtures of the exporter's tests: fp32 bundles, which need no int8 gate, and checkpoints to break."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from latelite_export import export, texts


@pytest.fixture(scope="session")
def fp32_bundle(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> Callable[[str], Path]:
    """Name of a case of the golden matrix -> its fp32 bundle, exported once per run."""
    root = tmp_path_factory.mktemp("fp32")

    # The golden texts are what these bundles are compared on; the gate need not take all of its own.
    few = tuple(texts.Collection(c.language, c.queries[:1], c.documents[:2]) for c in texts.collections())

    def folder(name: str) -> Path:
        if not (root / name).exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(texts, "collections", lambda: few)
                export(checkpoint(name), root / name, scheme="fp32")
        return root / name

    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, checkpoint: Callable[[str], Path]) -> Callable[[str], Path]:
    """Like the shared fixture, but always exported now, never a copy of a stored bundle."""
    root = tmp_path_factory.mktemp("exported")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            export(checkpoint(name), root / name)
        return root / name

    return folder


@pytest.fixture
def copy(tmp_path: Path, checkpoint: Callable[[str], Path]) -> Callable[[str], Path]:
    """Name of a case -> a copy of its checkpoint that a test may break."""

    def folder(name: str) -> Path:
        return Path(shutil.copytree(checkpoint(name), tmp_path / name))

    return folder
