"""Word lists and messages from wheels."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from recipe.corpus import messages, word_frequencies
from recipe.errors import FormatError


def wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def word_wheel(path: Path, content: object) -> Path:
    return wheel(path, {"wordfreq/data/large_de.msgpack.gz": gzip.compress(msgpack.packb(content))})


def test_frequency_falls_by_a_hundredth_of_a_decade_per_bin(tmp_path: Path) -> None:
    path = word_wheel(tmp_path / "w.whl", [{"format": "cB", "version": 1}, ["die"], [], ["und", "der"]])
    assert list(word_frequencies(path, "de")) == [("die", 1.0), ("und", 10**-0.02), ("der", 10**-0.02)]


def test_a_word_list_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="unknown header"):
        list(word_frequencies(word_wheel(tmp_path / "w.whl", [{"format": "cB", "version": 2}]), "de"))


def test_a_language_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="large_sv"):
        list(word_frequencies(word_wheel(tmp_path / "w.whl", []), "sv"))


def test_messages_come_in_each_language_once(tmp_path: Path, catalogue: Callable[[dict[str, str]], bytes]) -> None:
    german = catalogue({"File": "Datei", "Save": "Speichern", "Document": "Datei"})
    brazilian = catalogue({"File": "Arquivo"})
    path = wheel(
        tmp_path / "m.whl",
        {
            "app/locale/de/LC_MESSAGES/django.mo": german,
            "app/locale/pt_BR/LC_MESSAGES/django.mo": brazilian,
            "app/locale/sv/LC_MESSAGES/django.mo": german,
        },
    )
    found = messages(path)
    assert sorted(found["de"]) == ["Datei", "Speichern"]
    assert found["pt"] == ["Arquivo"]
    assert sorted(found["en"]) == ["Document", "File", "Save"]
    assert found["fr"] == []
