"""Search in a collection: both halves and their sum, filters, explanations, refusals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from latelite import Collection
from latelite.arrays import Mask
from latelite.errors import BundleCorruptError, FilterError, UnknownIdError
from latelite.models import ColBERT
from latelite.search import Where
from latelite.storage.snapshot import Snapshot
from latelite.storage.storage import Storage

DEFAULT_BUNDLE = Path(__file__).parent.parent.parent / "models" / "default-onnx"
TEXTS = {
    "bread": "Rye bread needs time and a hot oven.",
    "train": "The night train to the north leaves at seven.",
    "taxes": "The tax return is due at the end of July.",
    "garden": "Tomatoes want sun, and little wind.",
    "oven": "An oven of bricks keeps its heat for hours.",
}


@pytest.fixture(scope="module")
def default_model() -> ColBERT:
    return ColBERT(DEFAULT_BUNDLE, threads=1)


@pytest.fixture(params=["Exact", "IVF"])
def notes(request: pytest.FixtureRequest, tmp_path: Path, model: ColBERT) -> Iterator[Collection]:
    with Collection(tmp_path / "notes.lt", model, index=request.param) as collection:
        collection.add(
            list(TEXTS),
            list(TEXTS.values()),
            [{"n": n, "even": n % 2 == 0, "tags": ["all", id_]} for n, id_ in enumerate(TEXTS)],
        )
        yield collection


def test_the_score_is_meaning_and_a_share_of_words(notes: Collection) -> None:
    query = "hot oven"
    hybrid = {hit.id: hit for hit in notes.search(query, k=5)}
    semantic = {hit.id: hit for hit in notes.search(query, k=5, mode="semantic")}
    lexical = {hit.id: hit for hit in notes.search(query, k=5, mode="lexical")}
    weight = notes.model.manifest.lexical_weight
    assert set(hybrid) == set(semantic) == set(TEXTS)
    assert {"bread", "oven"} <= set(lexical)
    for id_, hit in hybrid.items():
        assert hit.semantic is not None
        assert hit.lexical is not None
        assert hit.semantic == pytest.approx(semantic[id_].score, abs=1e-6)
        assert hit.lexical == pytest.approx(lexical[id_].score if id_ in lexical else 0.0, abs=1e-6)
        assert hit.score == pytest.approx(hit.semantic + weight * hit.lexical, abs=1e-6)
        assert -1 <= hit.score <= 1 + weight
    assert [hit.score for hit in notes.search(query, k=5)] == sorted((h.score for h in hybrid.values()), reverse=True)


def test_semantic_scores_are_maxsim_over_query_tokens(notes: Collection) -> None:
    query = notes.model.encode_query("hot oven")
    for hit in notes.search("hot oven", k=5, mode="semantic"):
        (document,) = [vectors for found, vectors in notes.token_vectors() if found.id == hit.id]
        assert hit.score == pytest.approx(float((query @ document.T).max(axis=1).mean()), abs=2e-3)
        assert hit.lexical is None


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "lexical"])
def test_filters_apply_before_scoring_in_every_mode(notes: Collection, mode: str) -> None:
    def found(where: object) -> set[object]:
        return {hit.id for hit in notes.search("bread oven train tax sun", k=5, where=where, mode=mode)}  # type: ignore[arg-type]

    assert found({"n": {"$gte": 3}}) == {"garden", "oven"}
    assert found({"even": True}) == {"bread", "taxes", "oven"}
    assert found({"n": True}) == set()  # 1 is not true
    assert found({"tags": {"$contains": "train"}}) == {"train"}
    assert found(lambda metadata: metadata["n"] == 1) == {"train"}
    assert found({"$or": [{"n": 0}, {"n": 4}]}) == {"bread", "oven"}
    with pytest.raises(FilterError, match=r"\$gtt"):
        notes.search("x", where={"n": {"$gtt": 1}})


def test_an_explanation_points_into_the_text(notes: Collection) -> None:
    (hit,) = notes.search("hot oven", k=1, explain=True)
    assert hit.matches
    for match in hit.matches:
        assert 0 <= match.start < match.end <= len(hit.text)
        assert match.query in "hot oven"
        assert -1 <= match.score <= 1.001
    assert notes.explain("hot oven", hit.id) == hit.matches
    assert notes.search("hot oven", k=1)[0].matches == []
    with pytest.raises(UnknownIdError):
        notes.explain("x", "nobody")


def test_an_explanation_crosses_languages_and_knows_whole_words(tmp_path: Path, default_model: ColBERT) -> None:
    with Collection(tmp_path / "notes.lt", default_model) as collection:
        collection.add(["train"], ["🚆 The night train to the north leaves at seven. Ça va?"])
        (hit,) = collection.search("Wann fährt der Zug?", explain=True)
        assert ("Zug", "train") in {(match.query, hit.text[match.start : match.end]) for match in hit.matches}


def test_batches_thresholds_groups(notes: Collection) -> None:
    queries = ["hot oven", "the north", "tax"]
    assert notes.search_batch(queries, k=3) == [notes.search(query, k=3) for query in queries]
    best = notes.search("hot oven", k=5)
    assert notes.search("hot oven", k=5, min_score=best[1].score) == best[:2]
    assert [hit.id for hit in notes.search("hot oven", k=5, group_by="even")] == [
        best[0].id,
        next(hit.id for hit in best if hit.metadata["even"] != best[0].metadata["even"]),
    ]


def test_reading_by_id_by_filter_and_in_pages(notes: Collection) -> None:
    assert [d.id for d in notes.get(["oven", "bread"])] == ["oven", "bread"]
    assert notes.get("nobody", None) is None
    with pytest.raises(UnknownIdError, match="nobody"):
        notes.get(["oven", "nobody"])
    assert [d.id for d in notes.documents(where={"even": True}, limit=2, offset=1)] == ["taxes", "oven"]
    assert (notes.count(), notes.count(where={"even": False})) == (5, 2)
    assert notes.remove(where={"even": False}) == 2
    assert notes.ids == ["bread", "taxes", "oven"]


def test_an_index_on_a_field_changes_no_result(notes: Collection) -> None:
    before = [notes.search("oven", k=5, where={"n": {"$lt": n}}) for n in range(5)]
    notes.index_metadata("n")
    assert [notes.search("oven", k=5, where={"n": {"$lt": n}}) for n in range(5)] == before


def test_metadata_changes_without_encoding(notes: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    before = notes.search("hot oven", k=5)
    monkeypatch.setattr(ColBERT, "encode_document", lambda *_, **__: pytest.fail("encoded"))
    notes.update_metadata(["bread"], [{"n": 10}])
    assert notes.get("bread").metadata == {"n": 10}
    assert [(h.id, h.score) for h in notes.search("hot oven", k=5)] == [(h.id, h.score) for h in before]
    with pytest.raises(UnknownIdError):
        notes.update_metadata(["nobody"], [{}])


@pytest.mark.parametrize(
    ("options", "error"), [({"k": 0}, ValueError), ({"mode": "fuzzy"}, ValueError), ({"query": ["a"]}, TypeError)]
)
def test_what_makes_no_sense_is_refused(notes: Collection, options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        notes.search(**{"query": "x", **options})  # type: ignore[arg-type]


def test_words_beyond_the_document_length_are_found_and_said_to_be(tmp_path: Path, model: ColBERT) -> None:
    long = "the train " * model.manifest.settings.document_length + " zebra"
    with Collection(tmp_path / "long.lt", model) as collection:
        collection.add(["long", "short"], [long, "a train"])
        assert collection.get("long").truncated
        assert not collection.get("short").truncated
        (hit,) = collection.search("zebra", mode="lexical")
        assert hit.id == "long"


def test_an_empty_collection_has_no_hits(tmp_path: Path, model: ColBERT) -> None:
    with Collection(tmp_path / "empty.lt", model) as collection:
        assert collection.search("x") == []
        assert collection.search_batch(["x", "y"]) == [[], []]
        assert collection.documents() == []
        assert collection.count(where={"n": 1}) == 0


def test_equal_documents_come_in_the_order_in_which_they_were_added(tmp_path: Path, model: ColBERT) -> None:
    with Collection(tmp_path / "equal.lt", model, index="Exact") as collection:
        collection.add(list(range(50)), ["the very same text"] * 50)
        assert [hit.id for hit in collection.search("same text", k=10)] == list(range(10))


def test_hits_do_not_depend_on_how_the_documents_lie(notes: Collection) -> None:
    before = notes.search("hot oven in the north", k=5)
    notes.compact()
    after = notes.search("hot oven in the north", k=5)
    assert [hit.id for hit in after] == [hit.id for hit in before]
    assert np.allclose([h.score for h in after], [h.score for h in before], atol=5e-3)


def test_lexical_search_ignores_case(notes: Collection) -> None:
    assert notes.search("OVEN", mode="lexical") == notes.search("oven", mode="lexical")


def test_a_filters_answer_is_remembered_for_one_state_only(notes: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    matching = Storage.matching

    def noted(storage: Storage, view: Snapshot, condition: str, values: Sequence[object] = ()) -> list[Mask]:
        asked.append(condition)
        return matching(storage, view, condition, values)

    monkeypatch.setattr(Storage, "matching", noted)

    def found(where: Where) -> set[object]:
        return {hit.id for hit in notes.search("bread oven", k=5, where=where, mode="semantic")}

    assert found({"n": {"$gte": 3}}) == found({"n": {"$gte": 3}}) == {"garden", "oven"}
    assert len(asked) == 1
    assert found({"n": {"$gte": 4}}) == {"oven"}
    assert len(asked) == 2
    notes.update_metadata(["bread"], [{"n": 7}])
    assert found({"n": {"$gte": 3}}) == {"bread", "garden", "oven"}
    notes.remove(["oven"])
    assert found({"n": {"$gte": 3}}) == {"bread", "garden"}
    notes.add(["cake"], ["A cake."], [{"n": 9}])
    assert found({"n": {"$gte": 3}}) == {"bread", "garden", "cake"}
    assert [found({"n": number}) for number in range(40)].count(set()) == 40 - 5
    wanted = {"train"}

    def accepts(metadata: Mapping[str, object]) -> bool:
        return metadata["n"] == 1 if "train" in wanted else metadata["n"] == 3

    assert found(accepts) == {"train"}
    wanted.clear()  # the same function, that answers differently now
    assert found(accepts) == {"garden"}


def test_filters_apply_to_documents_that_others_were_removed_between(tmp_path: Path, model: ColBERT) -> None:
    """Numbers of documents with gaps, in segments with removed documents, and recent ones."""
    with Collection(tmp_path / "notes.lt", model) as notes:
        for start in range(0, 60, 20):
            numbers = range(start, start + 20)
            notes.add(numbers, [f"note {n}" for n in numbers], [{"n": n} for n in numbers])
            notes.remove([n for n in numbers if n % 7 == 0])
            if start < 40:
                notes.compact()
        notes.add([7], ["note 7"], [{"n": 7}])
        left = [n for n in range(60) if n % 7] + [7]
        for where, wanted in (
            ({"n": {"$lt": 30}}, [n for n in left if n < 30]),
            ({"n": {"$in": [1, 7, 14, 41, 59]}}, [1, 41, 59, 7]),
            ({"n": 70}, []),
        ):
            assert [document.id for document in notes.documents(where)] == wanted
            assert {hit.id for hit in notes.search("note", k=60, where=where)} == set(wanted)


def with_weight(source: Path, target: Path, weight: object) -> Path:
    """A copy of a bundle whose manifest says what the words count."""
    shutil.copytree(source, target)
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    manifest.pop("lexical_weight", None)
    if weight is not None:
        manifest["lexical_weight"] = weight
    (target / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return target


@pytest.mark.parametrize(("weight", "expected"), [(None, 0.35), (0.8, 0.8), (0, 0.0)])
def test_the_bundle_says_what_the_words_count(
    tmp_path: Path, bundle: Callable[[str], Path], weight: object, expected: float
) -> None:
    made = with_weight(bundle("bert-pylate"), tmp_path / "bundle", weight)
    with Collection(tmp_path / "notes.lt", made) as notes:
        notes.add(list(TEXTS), list(TEXTS.values()))
    with Collection(tmp_path / "notes.lt") as notes:  # and it stays with the collection
        hits = notes.search("hot oven", k=5)
    assert any(hit.lexical for hit in hits)
    for hit in hits:
        assert hit.semantic is not None
        assert hit.lexical is not None
        assert hit.score == pytest.approx(hit.semantic + expected * hit.lexical, abs=1e-6)


@pytest.mark.parametrize("weight", ["heavy", -1, True, 1e9])
def test_a_weight_that_is_none_is_refused(tmp_path: Path, bundle: Callable[[str], Path], weight: object) -> None:
    made = with_weight(bundle("bert-pylate"), tmp_path / "bundle", weight)
    with pytest.raises(BundleCorruptError, match="lexical_weight"):
        ColBERT(made)
