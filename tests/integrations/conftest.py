"""A collection with the default model; each suite here skips where its project is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from latelite import Collection
from latelite.models import ColBERT

BUNDLE = Path(__file__).parent.parent.parent / "models" / "default-onnx"


@pytest.fixture(scope="session")
def encoder() -> ColBERT:
    """The default model on one thread."""
    return ColBERT(BUNDLE, precision="int8", threads=1)


@pytest.fixture
def collection(tmp_path: Path, encoder: ColBERT) -> Iterator[Collection]:
    """An empty collection."""
    with Collection(tmp_path / "notes.lt", encoder) as opened:
        yield opened


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the documentation's examples suppose: a folder with the default model and a collection, to work in."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "default-onnx").symlink_to(BUNDLE)
    monkeypatch.chdir(tmp_path)
    with Collection("notes.lt", "models/default-onnx") as notes:
        notes.add(["bread", "train"], ["Rye bread needs a hot oven.", "The night train leaves at seven."])
    return tmp_path


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """A local Ray cluster of several worker processes; its address."""
    import ray

    context = ray.init(num_cpus=3, include_dashboard=False, logging_level="ERROR", object_store_memory=200_000_000)
    yield context.address_info["address"]
    ray.shutdown()
