"""From documents without questions to a fine-tuned bundle, in the environment of `make finetune`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pylate", reason="PyLate is not installed (make test-finetune)")

from latelite import Collection
from latelite.mining import Pair, read_pairs, write_pairs
from latelite.models import ColBERT
from latelite_export.texts import LANGUAGES

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "models" / "finetune"
sys.path[:0] = [str(ROOT / "models"), str(ROOT / "benchmarks")]

from finetune import data, quality, report, train  # noqa: E402

DISHES = ["bread", "soup", "cake", "stew", "salad", "porridge", "noodles", "dumplings", "omelette", "pie"]


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "notes"
    folder.mkdir()
    for number in range(60):
        dish = f"{DISHES[number % 10]} {number}"
        (folder / f"{number}.md").write_text(
            f"# The {dish}\n\nThe {dish} is a dish of the region. It takes {number + 5} minutes and a pan. "
            f"Cooks of valley {number} add {number % 7} spoons of salt to it. Guests come for it in winter.\n"
        )
    return folder


def finetune(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_ten_steps_end_to_end(notes: Path, checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "adapted"
    base = checkpoint("bert-pylate")
    done = finetune("--data", notes, "--base", base, "--out", out, "--steps", 10, "--batch", 4)
    assert done.returncode in (0, 3), done.stderr
    written = json.loads((out / "report.json").read_text())
    assert written["training"]["steps"] == 10
    assert (done.returncode == 0) == written["helped"]
    assert written["verdict"] in done.stdout
    assert set(written["quality"]) == {"held out", *(f"general {language}" for language in LANGUAGES)}
    low, high = written["quality"]["held out"]["semantic"]["all"]["interval"]
    assert low <= written["quality"]["held out"]["semantic"]["all"]["difference"] <= high
    assert "adapted to notes" in (out / "README.md").read_text()
    assert (out / "training.png").stat().st_size > 1000
    assert not (out / "work").exists()

    # The checkpoint is another one than the base, and its bundle is what the runtime searches with.
    assert (out / "model.safetensors").read_bytes() != (base / "model.safetensors").read_bytes()
    with Collection(tmp_path / "n.lt", ColBERT(out / "bundle")) as collection:
        collection.add_files(notes)
        assert collection.search("soup", k=1)

    again = finetune("--data", notes, "--base", base, "--out", out)
    assert again.returncode == 1
    assert "holds a finished run" in again.stderr


def test_a_run_that_was_killed_goes_on(notes: Path, checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "adapted"
    arguments = ["--data", notes, "--base", checkpoint("bert-pylate"), "--out", out, "--steps", 15, "--batch", 4]
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 400
    while not (out / "work" / "trainer" / "checkpoint-5" / "trainer_state.json").exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = finetune(*arguments)
    assert done.returncode in (0, 3), done.stderr
    assert "going on from checkpoint-" in done.stdout
    assert "searching" not in done.stderr, "the negatives are known"
    assert json.loads((out / "report.json").read_text())["training"]["steps"] == 15


def test_what_data_may_be(notes: Path, tmp_path: Path, model: ColBERT) -> None:
    said: list[str] = []
    documents = data.read(notes, model, negatives=2, seed=0, say=said.append)
    assert documents.kind == "documents"
    assert any(pair.negatives for pair in documents.train)
    trained = {pair.document for pair in documents.train}
    assert not trained & {pair.document for pair in documents.held_out}

    path = tmp_path / "pairs.jsonl"
    with path.open("w", encoding="utf-8") as file:
        write_pairs([Pair(f"question {n}", f"answer number {n}", scores=(1.0,)) for n in range(80)], file)
    pairs = data.read(path, model, negatives=0, seed=0, say=said.append)
    assert (pairs.kind, len(pairs.train) + len(pairs.held_out)) == ("pairs", 80)
    assert len(read_pairs(path)) == 80

    folder = tmp_path / "set"
    folder.mkdir()
    texts = [f"The {DISHES[n % 10]} number {n} of {n} is a dish of that valley. It takes time." for n in range(80)]
    rows = [{"_id": f"d{n}", "text": text} for n, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, start in (("queries", 0), ("extra_queries", 100)):
        asked = [{"_id": f"q{start + n}", "text": f"Which one is {n}?"} for n in range(80)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
        judged = "".join(f"q{start + n}\td{n}\t1\n" for n in range(80))
        (folder / name.replace("queries", "qrels")).with_suffix(".tsv").write_text(f"query\tdocument\tscore\n{judged}")
    beir = data.read(folder, model, negatives=0, seed=0, say=said.append)
    assert beir.kind == "questions"
    assert [each.name for each in beir.questions] == ["set (test)", "held out"]
    assert len(beir.train) + len(beir.held_out) == 80
    (folder / "extra_qrels.tsv").unlink()
    bare = data.read(folder, model, negatives=0, seed=0, say=said.append)
    assert bare.kind == "passages"
    assert not any("Which one" in pair.query for pair in bare.train)

    with pytest.raises(data.DataError, match="does not exist"):
        data.read(tmp_path / "missing", model, negatives=0, seed=0, say=said.append)
    (tmp_path / "empty").mkdir()
    with pytest.raises(data.DataError, match="no text to train on"):
        data.read(tmp_path / "empty", model, negatives=0, seed=0, say=said.append)


def test_held_out_rows_have_the_same_columns() -> None:
    bare, hard = Pair("q", "p"), Pair("r", "s", ("n",))
    row = {"query": "r", "positive": "s", "negative": "n"}
    assert train.measured_rows([bare, hard]) == [row]
    assert train.measured_rows([hard, hard]) == [row, row]
    assert train.measured_rows([bare, bare, hard]) == [
        {"query": "q", "positive": "p"},
        {"query": "q", "positive": "p"},
        {"query": "r", "positive": "s"},
    ]


def test_a_run_that_does_not_help_says_so() -> None:
    ids = [str(n) for n in range(50)]
    worse = dict.fromkeys(ids, 0.5)
    better = {id_: 0.7 + 0.002 * n for n, id_ in enumerate(ids)}
    same = quality.compare(worse, worse, ids).as_json()
    gain = quality.compare(worse, better, ids).as_json()
    assert (gain["before"], gain["difference"], gain["questions"]) == (0.5, 0.249, 50)
    assert gain["interval"][0] < 0.249 < gain["interval"][1]
    assert report.judge(gain, {"general de": same})[0]
    helped, said = report.judge(same, {})
    assert (helped, said[:17]) == (False, "It does not help:")
    lost = quality.compare(better, worse, ids).as_json()
    helped, said = report.judge(gain, {"general de": lost})
    assert not helped
    assert "loses 0.249 on general text" in said


@pytest.mark.parametrize("is_query", [True, False])
def test_the_default_checkpoint_gives_the_runtimes_vectors_in_pylate(is_query: bool) -> None:
    from pylate import models

    texts = ["Wie lösche ich ein Verzeichnis?", "Rye bread needs time, and a hot oven.", "Où est la gare ?"]
    reference = models.ColBERT(str(ROOT / "models" / "latelite-colbert-16m"), device="cpu")
    runtime = ColBERT(ROOT / "models" / "default-onnx", precision="fp32")
    found = runtime.encode(texts, is_query=is_query)
    for vectors, expected in zip(found, reference.encode(texts, is_query=is_query), strict=True):
        assert vectors.shape == expected.shape
        np.testing.assert_allclose(vectors, expected, atol=1e-4)
