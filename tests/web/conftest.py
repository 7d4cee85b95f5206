"""A small collection, an application that serves it, and the clients of other projects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from latelite import Collection
from latelite.models import ColBERT
from latelite.serve import Limits, create_app
from latelite.serve.guard import Access
from served import HERE, TOKEN, fill

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory, model: ColBERT) -> Path:
    """A collection that tests only read."""
    folder = tmp_path_factory.mktemp("served") / "notes.lt"
    with Collection(folder, model) as collection:
        fill(collection)
    return folder


@pytest.fixture
def own_notes(tmp_path: Path, model: ColBERT) -> Path:
    """A collection of the test's own."""
    folder = tmp_path / "notes.lt"
    with Collection(folder, model) as collection:
        fill(collection)
    return folder


@pytest.fixture(scope="session")
def client(notes: Path) -> Iterator[TestClient]:
    """Asks an application that only reads."""
    with TestClient(create_app({"notes": notes}), base_url=HERE) as client:
        yield client


@pytest.fixture
def writing(own_notes: Path) -> Iterator[TestClient]:
    """Asks an application that writes; the token is not sent by itself."""
    app = create_app({"notes": own_notes}, access=Access(token=TOKEN), write=True)
    with TestClient(app, base_url=HERE) as client:
        yield client


@pytest.fixture
def narrow(notes: Path) -> Callable[[Limits], TestClient]:
    """An application with other limits."""
    return lambda limits: TestClient(create_app({"notes": notes}, limits=limits), base_url=HERE)


@pytest.fixture
def peer() -> Callable[[str], str]:
    """The Python of an environment that holds another project's client; skips where ``make peers`` has not made it."""

    def python(name: str) -> str:
        path = ROOT / ".venv-peers" / name / "bin" / "python"
        if not path.exists():
            pytest.skip(f"no {name}: make peers PEERS={name}")
        return str(path)

    return python
