"""Searches in JavaScript find what Python finds, in the same order and with the same scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from latelite import Collection
from latelite.models import ColBERT
from latelite.web.writer import write_site

from .conftest import Ask
from .texts import ODD, SENTENCES

QUERIES = (
    "Wo wartet das Kind?",
    "the keeper repairs an ENGINE in the storm",
    "¿Por qué no puede volar un pingüino?",
    "Où est la fenêtre \U0001f600 ouverte, Straße?",
    "Chi vende la mozzarella al re",
    "het ijs op de rivier",
    "Straße Meer und \U0001f44d\U0001f3fd",
    "",
    "zzz qqq",
)
FILTERS: tuple[Any, ...] = (None, {"lang": {"$in": ["de", "en"]}}, {"number": {"$gte": 4}, "lang": {"$ne": "fr"}})


def _fill(collection: Collection, *, copies: int = 1) -> None:
    for copy in range(copies):
        for language, sentences in SENTENCES.items():
            texts = [f"{sentence} \U0001f600 {copy} {sentences[-number]}" for number, sentence in enumerate(sentences)]
            collection.add(
                [f"{language}-{copy}-{number}" for number in range(len(texts))],
                texts,
                [{"lang": language, "number": number, "copy": copy} for number in range(len(texts))],
                show_progress_bar=False,
            )
    collection.add([f"odd-{number}" for number in range(len(ODD))], list(ODD), show_progress_bar=False)
    # Twice the same text: ties are in the order of insertion.
    collection.add([7, 8], ["The windows shake and the radio stops."] * 2, show_progress_bar=False)


def _assert_same(collection: Collection, site: Path, ask: Ask, *, explain: bool = True) -> None:
    options = [
        {"k": 7, "mode": mode, "where": where, "explain": explain}
        for mode in ("hybrid", "semantic", "lexical")
        for where in FILTERS
    ]
    asked = [(query, each) for query in QUERIES for each in options]
    answers = ask(site, *(("search", query, each) for query, each in asked))
    for (query, each), hits in zip(asked, answers, strict=True):
        expected = collection.search(query, **each)
        assert [hit["id"] for hit in hits] == [hit.id for hit in expected], (query, each)
        for hit, other in zip(hits, expected, strict=True):
            assert (hit["text"], hit["metadata"]) == (other.text, other.metadata)
            assert hit["score"] == pytest.approx(other.score, abs=1e-5)
            assert hit["semantic"] == (None if other.semantic is None else pytest.approx(other.semantic, abs=1e-5))
            assert hit["lexical"] == (None if other.lexical is None else pytest.approx(other.lexical, abs=1e-6))
        if explain:
            shown = [_shown(match, hit["text"]) for hit in hits for match in hit["matches"]]
            known = [_in_units(asdict(match), hit.text) for hit in expected for match in hit.matches]
            assert shown == known, (query, each)


def _in_units(match: dict[str, Any], text: str) -> tuple[str, int, int, str]:
    """Python counts code points, JavaScript UTF-16 units."""

    def units(point: int) -> int:
        return len(text[:point].encode("utf-16-le", "surrogatepass")) // 2

    return match["query"], units(match["start"]), units(match["end"]), f"{match['score']:.3f}"


def _shown(match: dict[str, Any], text: str) -> tuple[str, int, int, str]:
    assert 0 <= match["start"] < match["end"] <= len(text.encode("utf-16-le", "surrogatepass")) // 2
    return match["query"], match["start"], match["end"], f"{match['score']:.3f}"


@pytest.fixture(scope="module")
def model(bundle: Callable[[str], Path]) -> ColBERT:
    return ColBERT(bundle("bert-pylate"), precision="fp32", threads=1)


@pytest.mark.parametrize("pool_factor", [1, 2])
def test_hits_are_the_same(model: ColBERT, assets: Path, ask: Ask, tmp_path: Path, pool_factor: int) -> None:
    with Collection(tmp_path / "notes.lt", model, pool_factor=pool_factor) as collection:
        _fill(collection)
        collection.remove(["de-0-1", "en-0-0"])  # removed documents leave no trace
        collection.add(["fr-0-2"], ["Une autre histoire de la mer."], show_progress_bar=False)
        write_site(collection, tmp_path / "site", precision="fp32", assets=assets)
        _assert_same(collection, tmp_path / "site", ask)


def test_hits_of_a_large_collection_are_the_same(model: ColBERT, assets: Path, ask: Ask, tmp_path: Path) -> None:
    with Collection(tmp_path / "notes.lt", model) as collection:
        _fill(collection, copies=14)
        collection.compact()
        assert collection.tokens > 40_000  # large enough for inverted lists
        collection.remove([f"en-3-{number}" for number in range(5)])
        write_site(collection, tmp_path / "site", precision="fp32", assets=assets)
        _assert_same(collection, tmp_path / "site", ask, explain=False)


def test_documents_are_read_counted_and_listed(model: ColBERT, assets: Path, ask: Ask, tmp_path: Path) -> None:
    where = {"lang": "de"}
    with Collection(tmp_path / "notes.lt", model) as collection:
        _fill(collection)
        write_site(collection, tmp_path / "site", precision="fp32", assets=assets)
        document, listed, count, facets, none = ask(
            tmp_path / "site",
            ("get", "it-0-1"),
            ("documents", {"where": where, "limit": 2, "offset": 1}),
            ("count", {"where": where}),
            ("facets", {}),
            ("get", "missing"),
            errors=True,
        )
        assert document["result"] == asdict(collection.get("it-0-1"))
        assert listed["result"] == [asdict(each) for each in collection.documents(where=where, limit=2, offset=1)]
        assert count["result"] == collection.count(where=where)
    languages = next(facet for facet in facets["result"] if facet["field"] == "lang")
    assert {"value": "de", "count": count["result"]} in languages["values"]
    assert none["error"]["name"] == "QueryError"
    assert "missing" in none["error"]["message"]


@pytest.mark.parametrize(
    ("query", "options", "error"),
    [("x", {"k": 0}, "k must"), ("x", {"mode": "best"}, "hybrid"), (7, {}, "string")],
)
def test_wrong_arguments_are_refused(
    model: ColBERT, assets: Path, ask: Ask, tmp_path: Path, query: Any, options: Any, error: str
) -> None:
    with Collection(tmp_path / "notes.lt", model) as collection:
        collection.add([1], ["A text."], show_progress_bar=False)
        write_site(collection, tmp_path / "site", precision="fp32", assets=assets)
    (answer,) = ask(tmp_path / "site", ("search", query, options), errors=True)
    assert error in answer["error"]["message"]
