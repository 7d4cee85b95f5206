"""The demo: its documents, and updates of its collection."""

from collections.abc import Callable
from pathlib import Path

import pytest

from latelite import Collection, cli, demo


def test_it_searches_functions_classes_and_modules() -> None:
    found = demo.documents()
    assert {kind for kind, _ in found.values()} == {"function", "class", "module"}
    assert found["shutil.rmtree"][0] == "function"
    assert found["zipfile.PyZipFile"][0] == "class"
    assert found["statistics"][0] == "module"
    assert not {"ftplib.FTP.delete", "distutils", "cgi"} & set(found)
    assert len(found) > 1500  # some distributions package parts of the library apart


def test_docstrings_are_filed_under_their_module_and_name() -> None:
    kind, text = demo.documents()["tempfile.NamedTemporaryFile"]
    assert kind == "function"
    assert text.startswith("tempfile Named Temporary File: Create and return a temporary file.")


def test_a_collection_of_before_is_brought_up_to_date(
    tmp_path: Path, bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = {name: ("function", f"{name}: does {name}") for name in ("open", "close", "read")}
    monkeypatch.setattr(demo, "documents", lambda: documents)
    arguments = [
        "demo",
        "--model",
        str(bundle("bert-pylate")),
        "--collection",
        str(tmp_path / "demo.lt"),
        "--threads",
        "1",
    ]
    assert cli.main(arguments) == 0
    first = capsys.readouterr().out
    assert "3 docstrings" in first
    assert "3 to index" in first
    assert all(question in first for _, question in demo.QUESTIONS)
    del documents["read"]
    documents["close"] = ("function", "close: does nothing")
    assert cli.main(arguments) == 0
    assert "2 docstrings of Python" in (out := capsys.readouterr().out)
    assert "1 to index" in out
    with Collection(tmp_path / "demo.lt", bundle("bert-pylate")) as collection:
        assert sorted(map(str, collection.ids)) == ["close", "open"]
        assert collection.get("close").text == "close: does nothing"
