"""Public files become BEIR folders; files with another layout are refused in one sentence."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import beir
import pytest
from sets import convert, layout, nanobeir

PARAGRAPHS = [
    ("Rye bread.", {"a": "Which bread?", "b": "Who?"}),
    ("Night train.", {"c": "Which train?", "d": "who?"}),
    ("Rye bread.", {"e": "What is baked?"}),
]
SQUAD = {
    "data": [
        {
            "paragraphs": [
                {"context": text, "qas": [{"id": name, "question": question} for name, question in asked.items()]}
                for text, asked in PARAGRAPHS
            ]
        }
    ]
}


def converted(tmp_path: Path, *arguments: str) -> beir.RetrievalSet:
    out = tmp_path / "out"
    assert convert.main([*arguments, "-o", str(out), "--language", "en"]) == 0
    assert convert.main(["verify", str(out)]) == 0
    assert json.loads((out / "meta.json").read_text())["lang"] == "en"
    return beir.load(out)


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("zipped", [False, True])
def test_squad(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / ("squad.json.gz" if zipped else "squad.json")
    data = json.dumps(SQUAD).encode()
    path.write_bytes(gzip.compress(data) if zipped else data)
    found = converted(tmp_path, "squad", str(path))
    assert list(found.documents.values()) == ["Rye bread.", "Night train."]
    assert found.qrels == {"a": {"d0": 1}, "b": {"d0": 1}, "c": {"d1": 1}, "e": {"d0": 1}}  # d asks what b asked


def test_squad_only_the_questions_of_another_set(tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text(json.dumps(SQUAD))
    other = tmp_path / "other"
    other.mkdir()
    write_lines(other / "queries.jsonl", [{"_id": "c", "text": "Quale treno?"}])
    found = converted(tmp_path, "squad", str(tmp_path / "squad.json"), "--only", str(other))
    assert (list(found.queries), list(found.documents.values())) == (["c"], ["Night train."])


def test_scifact(tmp_path: Path) -> None:
    corpus = write_lines(tmp_path / "corpus.jsonl", [{"doc_id": 7, "title": "T", "abstract": ["One. ", "Two."]}])
    claims = write_lines(
        tmp_path / "claims.jsonl",
        [{"id": 1, "claim": "One.", "cited_doc_ids": [7]}, {"id": 2, "claim": "Unknown.", "cited_doc_ids": []}],
    )
    found = converted(tmp_path, "scifact", str(corpus), str(claims))
    assert found.qrels == {"1": {"7": 1}}
    assert found.documents["7"].split() == ["T", "One.", "Two."]


def test_beir_archive(tmp_path: Path) -> None:
    path = tmp_path / "nfcorpus.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nfcorpus/corpus.jsonl", json.dumps({"_id": "d", "title": "", "text": "Rye."}) + "\n")
        rows = [{"_id": "q", "text": "rye"}, {"_id": "unjudged", "text": "x"}]
        archive.writestr("nfcorpus/queries.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        archive.writestr("nfcorpus/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\td\t2\nq\tgone\t1\nq\td0\t0\n")
    assert converted(tmp_path, "beir", str(path)).qrels == {"q": {"d": 2}}


def test_miracl(tmp_path: Path) -> None:
    (tmp_path / "topics.tsv").write_text("1\trye bread\n2\ttrain\n")
    (tmp_path / "qrels.tsv").write_text("1 Q0 d#1 1\n1 Q0 d#2 0\n")
    rows = [{"docid": f"d#{i}", "title": "T", "text": f"passage {i}"} for i in range(9)]
    with gzip.open(tmp_path / "docs.jsonl.gz", "wt") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    paths = [str(tmp_path / name) for name in ("topics.tsv", "qrels.tsv", "docs.jsonl.gz")]
    found = converted(tmp_path, "miracl", *paths, "--limit", "2")
    assert found.qrels == {"1": {"d#1": 1}}
    assert set(found.documents) == {"d#0", "d#1", "d#2"}  # two, and what is judged
    assert "not comparable" in json.loads((tmp_path / "out" / "meta.json").read_text())["note"]


@pytest.mark.parametrize("split", ["train", "NanoNQ"])
def test_nanobeir(tmp_path: Path, split: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    repository = tmp_path / "NanoBEIR-en"
    parts: dict[str, list[dict[str, str]]] = {
        "corpus": [{"_id": "d", "text": "Rye."}, {"_id": "e", "text": "Oats."}],
        "queries": [{"_id": "q", "text": "rye"}],
        "qrels": [{"query-id": "q", "corpus-id": "d"}],
    }
    for part, rows in parts.items():
        (repository / part).mkdir(parents=True)
        parquet.write_table(pyarrow.Table.from_pylist(rows), repository / part / f"{split}-00000-of-00001.parquet")
    assert nanobeir.splits(repository) == [split]
    assert convert.main(["nanobeir", str(repository), "-o", str(tmp_path / "nano"), "--language", "en"]) == 0
    (folder,) = (tmp_path / "nano").iterdir()
    assert folder.name == ("en-en" if split == "train" else "en-nanonq")
    assert beir.load(folder).qrels == {"q": {"d": 1}}


@pytest.mark.parametrize(
    ("kind", "files"),
    [("squad", {"a.json": "{}"}), ("squad", {"a.json": "no JSON"}), ("beir", {"a.zip": "no archive"}),
     ("scifact", {"a.jsonl": "{}\n", "b.jsonl": "{}\n"}), ("nanobeir", {"a": ""}),
     ("miracl", {"a.tsv": "one column\n", "b.tsv": "x\n", "c.gz": ""}), ("miracl", {"a.tsv": ""})],
)  # fmt: skip
def test_other_files_are_refused(
    tmp_path: Path, kind: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    paths = [str(tmp_path / name) for name in files]
    assert convert.main([kind, *paths, "-o", str(tmp_path / "out"), "--language", "en"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text(json.dumps(SQUAD))
    converted(tmp_path, "squad", str(tmp_path / "squad.json"))
    with (tmp_path / "out" / "qrels.tsv").open("a") as out:
        out.write("a\td1\t1\n")
    assert convert.main(["verify", str(tmp_path / "out")]) == 1


def test_judgements_need_their_documents() -> None:
    with pytest.raises(layout.SetError, match="not among the documents"):
        layout.Set({}, {"q": "x"}, {"q": {"d": 1}}).check()
