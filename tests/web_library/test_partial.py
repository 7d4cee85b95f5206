"""A collection answers while parts of its vectors are still on their way, from the documents that are there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite import Collection
from latelite.models import ColBERT
from latelite.web import stored
from latelite.web.writer import write_site

from .texts import SENTENCES

HERE = Path(__file__).parent
QUERY = "the keeper repairs an ENGINE in the storm"
WHERE = {"lang": {"$in": ["en", "it"]}}
OPTIONS: dict[str, Any] = {"k": 60, "mode": "hybrid"}


@pytest.fixture
def site(
    bundle: Callable[[str], Path], assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Collection, int]:
    """An export of four parts or more, what it was made of, and how many documents lie in the first part whole."""
    model = ColBERT(bundle("bert-pylate"), precision="fp32", threads=1)
    notes = Collection(tmp_path / "notes.lt", model)
    texts = [(language, sentence) for language, sentences in SENTENCES.items() for sentence in sentences]
    numbers = list(range(len(texts)))
    metadata = [{"lang": texts[number][0], "number": number} for number in numbers]
    notes.add(numbers, [text for _, text in texts], metadata, show_progress_bar=False)
    notes.compact()
    part_bytes = notes.tokens * model.dim // 4
    usual, add = stored.PART_BYTES, stored.Stored.add_blocks

    def add_in_small_parts(self: stored.Stored, name: str, *arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(stored, "PART_BYTES", part_bytes if name == "parts/0/tokens" else usual)
        add(self, name, *arguments, **options)

    monkeypatch.setattr(stored.Stored, "add_blocks", add_in_small_parts)
    write_site(notes, tmp_path / "site", precision="fp32", assets=assets)
    (part,) = json.loads((tmp_path / "site" / "collection.json").read_text())["parts"]
    rows = part_bytes // (model.dim * (1 if part["quantised"] else 4))
    ends = np.cumsum([len(vectors) for _, vectors in notes.token_vectors()])
    return tmp_path / "site", notes, int(np.searchsorted(ends, rows, side="right"))


def _ask(node: str, site: Path, *, damaged: bool) -> dict[str, Any]:
    question = {"site": str(site), "query": QUERY, "options": OPTIONS, "where": WHERE, "damaged": damaged}
    done = subprocess.run(
        [node, str(HERE / "partial.mjs")], input=json.dumps(question), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _assert_hits(found: list[dict[str, Any]], notes: Collection, where: Any) -> None:
    expected = notes.search(QUERY, **OPTIONS, where=where)
    assert [hit["id"] for hit in found] == [hit.id for hit in expected]
    assert [hit["score"] for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-5)


def test_the_first_answers_are_of_the_documents_that_have_come(node: str, site: tuple[Path, Collection, int]) -> None:
    folder, notes, there = site
    answer = _ask(node, folder, damaged=False)
    assert not answer["early"]
    assert 0 < there < len(notes)
    # What came behind the missing part does not count yet; scores are those of the whole collection.
    _assert_hits(answer["before"], notes, {"number": {"$lt": there}})
    _assert_hits(answer["filtered"], notes, {"$and": [WHERE, {"number": {"$lt": there}}]})
    _assert_hits(answer["after"], notes, None)


def test_a_part_that_comes_damaged_is_told_and_the_answers_stay(node: str, site: tuple[Path, Collection, int]) -> None:
    folder, notes, there = site
    answer = _ask(node, folder, damaged=True)
    assert answer["error"]["name"] == "DamagedFileError"
    _assert_hits(answer["before"], notes, {"number": {"$lt": there}})
