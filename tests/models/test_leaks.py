"""Nothing that an evaluation set judges is trained on, whatever set it is near to."""

import json
from pathlib import Path

import pytest
from recipe import leaks
from recipe.errors import LeakError
from recipe.leaks import LeakFilter, check, read_sets

PARAGRAPH = (
    "In 1902 the harbour master of a small northern port wrote the first table of tides that fishermen could use."
)
HELP = "Choose the menu entry and then press the button in the dialogue that the program shows to you."
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def write_set(folder: Path, documents: dict[str, str], queries: dict[str, tuple[str, str]]) -> None:
    """A set in BEIR layout; ``queries`` is id -> text and the id of the document that answers it."""
    folder.mkdir(parents=True)
    for name, rows in (
        ("corpus", [{"_id": key, "title": "", "text": text} for key, text in documents.items()]),
        ("queries", [{"_id": key, "text": text} for key, (text, _) in queries.items()]),
    ):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = ["query-id\tcorpus-id\tscore", *(f"{key}\t{document}\t1" for key, (_, document) in queries.items())]
    (folder / "qrels.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two sets: one of paragraphs, one of help pages of which every page but one ends alike."""
    write_set(
        tmp_path / "en-port",
        {"d0": PARAGRAPH, "d1": "A paragraph that no question asks for, but that stands in the corpus all the same."},
        {"q0": ("Who wrote the first table of tides?", "d0"), "q1": ("tide tables", "d0")},
    )
    pages = {f"help/{n}": f"Page number {n} is about something else than page {n + 1}. {HELP}" for n in range(20)}
    write_set(tmp_path / "de-help", pages, {"k0": ("something else", "help/3")})
    return tmp_path


@pytest.fixture
def judged(data: Path) -> LeakFilter:
    return LeakFilter(read_sets(data))


def test_a_run_of_ten_words_of_a_judged_document_is_a_leak_in_any_spelling(judged: LeakFilter) -> None:
    run = "A SMALL northern port, wrote: the first table of tides - that fishermen knew."
    assert judged.reasons([run]) == ["it shares 10 words in a row with a judged text"]
    nine = " ".join(run.split()[:8])
    assert (
        judged.reasons([nine, "", "Nothing of the kind is written here, nor will it ever be, by anybody."])
        == [None] * 3
    )


def test_runs_are_not_made_of_two_texts(judged: LeakFilter) -> None:
    words = PARAGRAPH.split()
    assert judged.reasons([" ".join(words[:8]), " ".join(words[8:16])]) == [None, None]


def test_a_document_that_no_query_judges_may_be_trained_on(judged: LeakFilter) -> None:
    assert judged.reasons(["A paragraph that no question asks for, but that stands in the corpus all the same."]) == [
        None
    ]


def test_boilerplate_of_many_pages_does_not_count(judged: LeakFilter) -> None:
    assert judged.reasons([HELP]) == [None]
    (reason,) = judged.reasons([f"Page number 3 is about something else than page 4. {HELP}"])
    assert reason is not None


def test_a_question_is_a_leak_and_a_short_index_term_is_not(judged: LeakFilter) -> None:
    asked = ["who wrote the first table of tides", "Tide tables"]
    assert judged.reasons(asked) == ["it is a question of an evaluation set", None]


def test_a_judged_page_is_known_by_its_id(judged: LeakFilter) -> None:
    assert judged.is_judged("help/3")
    assert not judged.is_judged("help/4")


def test_a_leak_stops_training_and_is_named(judged: LeakFilter) -> None:
    check(judged, [("help/4", ["A sentence.", "And another one."])])
    with pytest.raises(LeakError, match="help/3 is a judged page"):
        check(judged, [("help/4", ["A sentence."]), ("help/3", ["A sentence."])])
    with pytest.raises(LeakError, match=r"news/1: 'It is said.* shares 10 words"):
        check(judged, [("news/1", ["fine", f"It is said: {PARAGRAPH}"])])


def test_without_evaluation_sets_nothing_can_be_ruled_out(tmp_path: Path) -> None:
    with pytest.raises(LeakError, match="has no evaluation set"):
        read_sets(tmp_path)


def test_another_judgement_is_another_fingerprint(data: Path) -> None:
    before = leaks.fingerprint(data)
    (data / "de-help" / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nk0\thelp/4\t1\n")
    after = leaks.fingerprint(data)
    assert {name for name in before if before[name] != after[name]} == {"de-help/qrels.tsv"}


@pytest.mark.skipif(not DATA.exists(), reason="needs the retrieval sets in ../shared/data")
def test_spanish_paragraphs_of_another_translation_of_squad_are_found() -> None:
    """XQuAD and SQuAD-es translate the same questions: each set knows its own text, and ids do not help."""
    judged = LeakFilter([leaks.read_set(DATA / "es-squad"), leaks.read_set(DATA / "es-xquad")])
    paragraphs = list(leaks.read_set(DATA / "es-squad").documents.values())[:50]
    found = judged.reasons(paragraphs)
    assert sum(reason is not None for reason in found) >= 48  # the others are shorter than a run
