"""Words of how-to questions, from English instructions and aligned infinitives."""

import json
from pathlib import Path

import pytest
from recipe.instructions import asked, instruction_words, openings
from recipe.pins import LANGUAGES

OTHERS = [language for language in LANGUAGES if language != "en"]
DELETE = {"de": "löschen", "es": "borrar", "fr": "effacer", "it": "cancellare", "nl": "verwijderen", "pt": "apagar"}


def alignment(**words: dict[str, str]) -> dict[str, dict[str, list[str]]]:
    return {
        f"en-{language}": {word: [texts[language]] for word, texts in words.items() if language in texts}
        for language in OTHERS
    }


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    documents = [
        ("docstrings", "en", False, "Delete a file. Returns nothing. Delete the folder."),
        ("manuals", "en", False, "rm: delete all files"),
        ("office", "en", True, "Format the cell."),
        ("office", "de", False, "Rename the cell."),
        ("stories", "en", False, "Fight the dragon."),
    ]
    rows = [
        {"text": number, "source": source, "language": language, "held_out": held_out, "queries": []}
        for number, (source, language, held_out, _) in enumerate(documents)
    ]
    (tmp_path / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = [{"role": "document", "text": text} for *_, text in documents]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    return tmp_path


def test_openings_are_counted_where_english_documents_are_about_programs(examples: Path) -> None:
    assert openings(examples) == {"delete": 3}


def test_a_verb_gives_its_infinitives_with_their_forms_and_other_words_give_nothing() -> None:
    inflections: dict[str, dict[str, list[str]]] = {language: {} for language in OTHERS}
    inflections["de"] = {"löschen": ["lösche", "löscht", "gelöscht", "löschte", "löschest"]}
    aligned = alignment(
        delete=DELETE,
        all=dict.fromkeys(OTHERS, "alle"),
        remove={"de": "entfernen", "nl": "verwijderen", "fr": "supprimer", "es": "quitar"},
        seldom={"de": "selten", "nl": "zelden"},
    )
    found = asked(["all", "seldom", "delete", "remove"], aligned, inflections)
    assert set(found) == {
        *DELETE.values(), "lösche", "löscht", "gelöscht", "löschte", "entfernen", "supprimer", "quitar",
    }  # fmt: skip
    assert found["verwijderen"] == "delete"
    assert found["entfernen"] == "remove"
    assert set(asked(["delete", "remove"], aligned, inflections, verbs=1).values()) == {"delete"}


def test_words_come_from_the_stages_files(tmp_path: Path, examples: Path) -> None:
    (tmp_path / "alignment.json").write_text(json.dumps(alignment(delete=DELETE)))
    (tmp_path / "inflections.json").write_text(json.dumps({language: {} for language in OTHERS}))
    assert instruction_words(examples, tmp_path, tmp_path) == dict.fromkeys(DELETE.values(), "delete")
