"""The checkpoint in the repository: its size, its record, and its answers to the demo's questions."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from latelite import Collection, demo
from latelite_export.pipeline import export

CHECKPOINT = Path(__file__).resolve().parents[2] / "models" / "latelite-colbert-16m"
ANSWERS = {
    "How do I delete a directory tree?": {"shutil.rmtree"},
    "Wie lege ich eine temporäre Datei an?": {"tempfile.TemporaryFile", "tempfile.NamedTemporaryFile"},
    "Wie lösche ich ein Verzeichnis mit allen Dateien?": {"shutil.rmtree"},
    "Comment calculer la médiane d'une liste ?": {"statistics.median"},
    "¿Cómo calculo la desviación estándar?": {"statistics.stdev", "statistics.pstdev"},
    "Come si crea un archivio ZIP?": {"zipfile", "shutil.make_archive", "zipfile.PyZipFile"},
    "Hoe verplaats ik een bestand naar een andere map?": {"shutil.move"},
    "Como descodificar um texto em base64?": {"base64.b64decode", "base64.decode"},
}


def test_it_is_of_the_15_million_class_and_small_enough_for_a_repository() -> None:
    path = CHECKPOINT / "model.safetensors"
    assert path.stat().st_size <= 35e6
    parameters = 0
    for file in (path, CHECKPOINT / "1_Dense" / "model.safetensors"):
        with safe_open(file, "np") as weights:
            for name in weights.keys():  # noqa: SIM118 - the handle is no mapping
                part = weights.get_slice(name)
                assert part.get_dtype() == "F16"
                size = 1
                for length in part.get_shape():
                    size *= length
                parameters += size
    assert 15e6 <= parameters <= 16e6


def test_its_record_and_log_are_of_the_same_run() -> None:
    record = json.loads((CHECKPOINT / "recipe.json").read_text())
    log = json.loads((CHECKPOINT / "training.json").read_text())
    assert [phase["name"] for phase in record["phases"]] == list(log)
    for phase in record["phases"]:
        written = log[phase["name"]]
        assert phase["steps"] - 50 < written["steps"][-1]["step"] <= phase["steps"]
        assert written["held_out"][-1]["step"] == phase["steps"]


def test_the_licence_of_the_weights_stands_beside_them() -> None:
    text = (CHECKPOINT / "LICENSE").read_text(encoding="utf-8")
    assert "Intfloat" in text
    assert "Permission is hereby granted, free of charge" in text


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The top three documents of a question."""
    folder = tmp_path_factory.mktemp("default")
    export(CHECKPOINT, folder / "bundle", offline=True)
    documents = demo.documents()
    with Collection(folder / "stdlib.lt", folder / "bundle") as collection:
        collection.add(list(documents), [text for _, text in documents.values()])
        return {question: {str(hit.id) for hit in collection.search(question, k=3)} for _, question in demo.QUESTIONS}


@pytest.mark.parametrize("question", [question for _, question in demo.QUESTIONS])
def test_it_answers_the_demos_questions(question: str, found: dict[str, set[str]]) -> None:
    assert ANSWERS[question] & found[question]


@pytest.mark.parametrize("language", ["de", "en", "es", "fr", "it", "nl", "pt"])
def test_the_demo_asks_in_every_language(language: str) -> None:
    assert any(asked == language for asked, _ in demo.QUESTIONS)
