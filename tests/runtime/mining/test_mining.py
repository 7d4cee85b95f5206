"""Training pairs from documents, hard negatives, and the file of pairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from latelite import Collection, cli, sources
from latelite.mining import Pair, mine, read_pairs, write_pairs
from latelite.mining.definitions import what_is
from latelite.mining.languages import language_of
from latelite.mining.negatives import TRUSTED, add_negatives
from latelite.models import ColBERT
from latelite.sources import Passage
from latelite.sources.passage import Measure
from latelite.sources.reading import read_path

BREAD = (
    "# Baking\n\n## Rye bread\n\nRye bread is a dark loaf that keeps for a week. It needs a sourdough and much time. "
    "The oven has to be hot at the start, and cooler after ten minutes. See [how to keep it](keeping.md#in-a-cloth).\n"
)
KEEPING = (
    "# Keeping bread\n\nA loaf in a bag of plastic becomes soft and soon has mould on its crust.\n\n"
    "## In a cloth\n\nWrapped in linen, a loaf stays crisp for two days and may be eaten for a week without harm.\n"
)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "bread.md").write_text(BREAD)
    (folder / "keeping.md").write_text(KEEPING)
    for number in range(8):
        (folder / f"{number}.txt").write_text(f"The train number {number} leaves at {number} o'clock. " * 4)
    return folder


def passages_by_words(folder: Path, *names: str) -> list[Passage]:
    """Passages counted in words, because the tiny model reads only a few tokens."""
    measure = Measure(lambda texts: [len(text.split()) for text in texts], 120)
    found = []
    for name in names:
        read = read_path(str(folder / name), f"notes/{name}", measure, lambda place, what: None)
        found += [passage for passage, _ in read]
    return found


def test_headings_links_and_definitions(notes: Path) -> None:
    pairs = list(mine(passages_by_words(notes, "bread.md", "keeping.md"), per_passage=6))
    by_kind = {pair.kind: pair for pair in pairs if pair.document == "notes/bread.md"}
    assert "Rye bread" in by_kind["heading"].query
    assert "Rye bread\n" not in by_kind["heading"].positive, "the heading itself would give the answer away"
    assert "dark loaf" in by_kind["heading"].positive
    assert by_kind["definition"].query == "What is Rye bread?"
    (link,) = [pair for pair in pairs if pair.kind == "link"]
    assert (link.query, link.document) == ("how to keep it", "notes/keeping.md")
    assert "linen" in link.positive
    assert all(pair.language == "en" for pair in pairs)


def test_a_sentence_is_taken_out_of_its_passage() -> None:
    text = " ".join(f"This is sentence number {n} of the text, and it is long enough." for n in range(6))
    pairs = [
        pair
        for seed in range(20)
        for pair in mine([Passage("a", text)], per_passage=3, seed=seed)
        if pair.kind == "sentence"
    ]
    assert pairs
    assert all(pair.query not in pair.positive and len(pair.positive) > len(text) / 2 for pair in pairs)


def test_the_same_passages_and_seed_give_the_same_pairs(notes: Path, model: ColBERT) -> None:
    passages = list(sources.passages(notes, model))
    assert list(mine(passages, seed=3)) == list(mine(passages, seed=3))
    assert list(mine(passages, seed=3)) != list(mine(passages, seed=4))
    assert max(sum(pair.positive in each.text for pair in mine(passages, per_passage=1)) for each in passages) == 1
    with pytest.raises(ValueError, match="per_passage must be at least 1"):
        list(mine(passages, per_passage=0))


@pytest.mark.parametrize(
    ("language", "sentence", "question"),
    [
        ("de", "Ein Anfang ist der erste Teil.", "Was ist Anfang?"),
        ("en", "Hairy cell leukemia is a type of cancer.", "What is Hairy cell leukemia?"),
        ("es", "La fiebre es una respuesta del cuerpo.", "¿Qué es fiebre?"),
        ("es", "El Sarampión es una enfermedad.", "¿Qué es Sarampión?"),
        ("fr", "Le Préavis est la période qui précède.", "Qu'est-ce que Préavis ?"),
        ("it", "La Febbre è una reazione.", "Che cos'è Febbre?"),
        ("nl", "Het Roggebrood is een brood.", "Wat is Roggebrood?"),
        ("pt", "A Febre é uma resposta.", "O que é Febre?"),
        ("en", "What he said then in front of everybody is the truth.", None),
        ("en", "He went home.", None),
    ],
)
def test_definitions(language: str, sentence: str, question: str | None) -> None:
    assert what_is(language, sentence) == question


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Der Vertrag wird von den Parteien nicht vor dem Ende des Jahres gekündigt."),
        ("en", "The contract is not ended by the parties before the end of the year."),
        ("es", "El contrato no se termina por las partes antes del fin de la relación."),
        ("fr", "Le contrat ne peut pas être rompu par les parties avant la fin de la période."),
        ("it", "Il contratto non è risolto dalle parti prima della fine del periodo."),
        ("nl", "Het contract wordt niet door de partijen voor het einde van het jaar beëindigd."),
        ("pt", "O contrato não é terminado pelas partes antes do fim do período de um ano."),
        (None, "契約は年末まで終了しない。"),
        (None, "0x4f 0x5c 17 42"),
    ],
)
def test_the_language_of_a_text(language: str | None, text: str) -> None:
    assert language_of(text) == language


def test_negatives_are_found_by_the_model_and_are_no_answers(notes: Path, model: ColBERT) -> None:
    passages = list(sources.passages(notes, model))
    pairs = list(add_negatives(mine(passages), passages, model, count=3))
    assert 1 <= max(len(pair.negatives) for pair in pairs) <= 3
    texts = {passage.text: passage.metadata["path"] for passage in passages}
    for pair in pairs:
        assert all(texts[negative] != pair.document for negative in pair.negatives)
        own = max(
            float(model.similarity(model.encode_query(pair.query), model.encode_document(text)).item())
            for text, path in texts.items()
            if path == pair.document
        )
        for negative in pair.negatives:
            score = model.similarity(model.encode_query(pair.query), model.encode_document(negative)).item()
            assert score <= own * TRUSTED + 0.05


def test_the_file_can_be_read_edited_and_read_again(tmp_path: Path) -> None:
    pairs = [
        Pair("Wer?", "Der Mars, der vierte Planet.", ("Venus.",), (1.5, 0.25), "title", "a.md", "de"),
        Pair("Bare", "Only these two."),
    ]
    path = tmp_path / "pairs.jsonl"
    with path.open("w", encoding="utf-8") as file:
        assert write_pairs(pairs, file) == {"title": 1, "": 1}
    assert read_pairs(path) == pairs
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[1]) == {
        "query": "Bare",
        "positive": "Only these two.",
    }
    path.write_text('{"question": "q", "passage": "p"}\n\n{"anchor": "a", "positive": "p"}\n')
    assert read_pairs(path) == [Pair("q", "p"), Pair("a", "p")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[1]", "not a JSON object"),
        ("{", "Expecting property name"),
        ('{"query": " ", "positive": "p"}', "query must be a text"),
        ('{"query": "q"}', "positive must be a text"),
        ('{"query": "q", "positive": "p", "negatives": "n"}', "negatives must be a list of texts"),
        ('{"query": "q", "positive": "p", "scores": [true]}', "scores must be a list of numbers"),
        ('{"query": "q", "positive": "p", "negatives": ["n"], "scores": [1]}', "there must be 2 scores"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "pairs.jsonl").write_text(f'{{"query": "q", "positive": "p"}}\n{line}\n')
    with pytest.raises(ValueError, match=rf"pairs\.jsonl, line 2: .*{why}"):
        read_pairs(tmp_path / "pairs.jsonl")


def test_the_command(
    notes: Path, tmp_path: Path, bundle: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = bundle("bert-pylate")
    out = tmp_path / "pairs.jsonl"
    assert cli.main(["mine", str(out), str(notes), "--model", str(model), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    pairs = read_pairs(out)
    assert report["count"] == len(pairs) == sum(report["kinds"].values())
    assert any(pair.negatives for pair in pairs)
    # Again: the same bytes; from a collection: the same documents.
    again = tmp_path / "again.jsonl"
    assert cli.main(["mine", str(again), str(notes), "--model", str(model)]) == 0
    assert again.read_bytes() == out.read_bytes()
    with Collection(tmp_path / "n.lt", model) as collection:
        collection.add_files(notes)
    assert cli.main(["mine", str(again), str(tmp_path / "n.lt"), "--negatives", "0"]) == 0
    assert {pair.document for pair in read_pairs(again)} == {pair.document for pair in pairs}
    assert not any(pair.negatives for pair in read_pairs(again))
    assert cli.main(["mine", str(again), str(tmp_path / "missing"), "--model", str(model)]) == 1
    assert "does not exist" in capsys.readouterr().err
