"""`Collection`: one folder with model, vectors, texts and metadata."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latelite import Collection, Document
from latelite.errors import (
    BundleError,
    DuplicateIdError,
    IndexCorruptError,
    IndexMismatchError,
    IndexVersionError,
    StoreError,
    UnknownIdError,
)
from latelite.models import ColBERT
from latelite.storage import writing

TEXTS = {
    "a": "a recipe for bread with rye flour",
    "b": "the train to the north leaves at seven",
    "c": "how to repair a bicycle tyre",
}
METADATA: list[dict[str, Any]] = [
    {"lang": "en", "year": 1999},
    {"lang": "en", "year": 2001},
    {"lang": "de", "tags": ["x", "y"]},
]


@pytest.fixture
def notes(tmp_path: Path, model: ColBERT) -> Collection:
    collection = Collection(tmp_path / "notes.lt", model)
    collection.add(list(TEXTS), list(TEXTS.values()), METADATA)
    return collection


def test_search_gives_texts_and_metadata_best_first(notes: Collection) -> None:
    hits = notes.search("how to repair a bicycle tyre", k=2)
    assert (hits[0].id, hits[0].text, hits[0].metadata) == ("c", TEXTS["c"], METADATA[2])
    assert len(hits) == 2
    assert hits[0].score > hits[1].score


def test_it_is_there_after_reopening_without_naming_a_model(notes: Collection) -> None:
    before = notes.search("bread", k=3)
    notes.close()
    with Collection(notes.folder) as again:
        assert len(again) == 3
        assert again.ids == list(TEXTS)
        assert again.search("bread", k=3) == before


def test_the_folder_can_be_moved(notes: Collection, tmp_path: Path) -> None:
    notes.close()
    shutil.copytree(notes.folder, tmp_path / "elsewhere.lt")
    shutil.rmtree(notes.folder)
    with Collection(tmp_path / "elsewhere.lt") as moved:
        assert moved.get("b").text == TEXTS["b"]
        moved.verify()


def test_an_id_that_is_there_gets_the_new_text(notes: Collection) -> None:
    notes.add(["a"], ["something else entirely"], [{"new": True}])
    assert len(notes) == 3
    assert notes.get("a") == Document("a", "something else entirely", {"new": True})
    assert all(hit.text != TEXTS["a"] for hit in notes.search("bread", k=10))


def test_where_restricts_before_scoring(notes: Collection) -> None:
    query = "how to repair a bicycle tyre"
    assert {hit.id for hit in notes.search(query, k=3, where={"lang": "en"})} == {"a", "b"}
    assert [hit.id for hit in notes.search(query, k=1, where={"lang": "en", "year": 2001})] == ["b"]
    assert [hit.id for hit in notes.search(query, k=3, where=lambda m: "tags" in m)] == ["c"]
    assert notes.search(query, where={"lang": "fr"}) == []
    assert notes.search(query, where={"unknown": None}) == []


def test_remove(notes: Collection) -> None:
    notes.remove(["b"])
    assert "b" not in notes
    assert notes.ids == ["a", "c"]
    assert {hit.id for hit in notes.search("train", k=10)} == {"a", "c"}
    with pytest.raises(UnknownIdError, match="b"):
        notes.remove(["a", "b"])
    assert "a" in notes
    with pytest.raises(UnknownIdError):
        notes.get("b")
    notes.compact()
    notes.verify()
    assert notes.ids == ["a", "c"]


def test_iteration_gives_every_document(notes: Collection) -> None:
    assert {hit.id: hit.text for hit in notes} == TEXTS


def test_awkward_texts_are_stored_as_they_are(notes: Collection) -> None:
    texts = ["", "   ", "line\nline\u2028\x00", "🙂" * 10, "w " * 50_000, "lone \ud83d surrogate"]
    ids = list(range(len(texts)))
    notes.add(ids, texts)
    assert [notes.get(i).text for i in ids] == texts
    assert len(notes.search("🙂", k=100)) == 3 + len(texts)


def test_integer_and_string_ids_are_different(notes: Collection) -> None:
    notes.add([1, "1"], ["number", "string"])
    assert (notes.get(1).text, notes.get("1").text) == ("number", "string")


def test_nothing_to_add(notes: Collection) -> None:
    notes.add([], [])
    assert len(notes) == 3


def test_an_empty_collection_finds_nothing(tmp_path: Path, model: ColBERT) -> None:
    with Collection(tmp_path / "empty.lt", model) as empty:
        assert len(empty) == 0
        assert empty.search("anything") == []


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(notes: Collection, k: int) -> None:
    with pytest.raises(ValueError, match="k"):
        notes.search("x", k=k)


def nested(levels: int) -> list[Any]:
    """Lists in lists."""
    inner: list[Any] = []
    for _ in range(levels):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("ids", "texts", "metadata", "error"),
    [
        (["x"], [], None, ValueError),
        (["x"], ["t"], [], ValueError),
        (["x", "x"], ["t", "t"], None, DuplicateIdError),
        ([True], ["t"], None, (TypeError, ValueError)),
        (["x"], [None], None, TypeError),
        (["x"], ["t"], [{"when": object()}], ValueError),
        (["x"], ["t"], [{"score": float("nan")}], ValueError),
        (["x"], ["t"], [{"deep": nested(100_000)}], ValueError),
    ],
)
def test_bad_documents_are_refused_and_nothing_is_added(
    notes: Collection, ids: Any, texts: Any, metadata: Any, error: Any
) -> None:
    with pytest.raises(error):
        notes.add(ids, texts, metadata)
    assert notes.ids == list(TEXTS)


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, model: ColBERT) -> None:
    (tmp_path / "thesis.tex").write_text("three years of work")
    with pytest.raises(StoreError, match=r"thesis\.tex"):
        Collection(tmp_path, model)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_model_is_refused(notes: Collection, bundle: Callable[[str], Path]) -> None:
    with pytest.raises(IndexMismatchError, match="bert-pylate"):
        Collection(notes.folder, bundle("bert-expansion"))


def test_fp32_and_int8_share_a_collection(notes: Collection, bundle: Callable[[str], Path]) -> None:
    with pytest.raises(BundleError, match="has no fp32 graph, only int8"):  # only what is in use is copied
        Collection(notes.folder, precision="fp32")
    with Collection(notes.folder, bundle("bert-pylate"), precision="fp32") as other:
        assert other.search("bread", k=1)[0].id == notes.search("bread", k=1)[0].id


def test_settings_of_a_collection_stay(notes: Collection) -> None:
    with pytest.raises(IndexMismatchError, match="pool_factor"):
        Collection(notes.folder, pool_factor=2)


def test_unknown_index_kind(tmp_path: Path, model: ColBERT) -> None:
    with pytest.raises(ValueError, match="Exact"):
        Collection(tmp_path / "x.lt", model, index="Faiss")


@pytest.mark.parametrize("kind", ["Exact", "HNSW", "IVF"])
def test_pooled_collections_of_every_kind(tmp_path: Path, model: ColBERT, kind: str) -> None:
    with Collection(tmp_path / "pooled.lt", model, index=kind, pool_factor=2) as pooled:
        pooled.add(list(TEXTS), list(TEXTS.values()))
        assert pooled.search(TEXTS["b"], k=1)[0].id == "b"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"format_version": 1}, IndexVersionError),
        ({"format_version": 99}, IndexVersionError),
        ({"format": "x"}, IndexCorruptError),
        ({"fingerprint": "0"}, IndexMismatchError),
        ({"index": "Faiss"}, IndexVersionError),
    ],
)
def test_headers_that_do_not_fit_are_refused(notes: Collection, change: dict[str, Any], error: Any) -> None:
    notes.close()
    path = notes.folder / "collection.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(error):
        Collection(notes.folder)


def test_a_header_that_is_cut_is_refused(notes: Collection) -> None:
    path = notes.folder / "collection.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(IndexCorruptError, match=r"collection\.json"):
        Collection(notes.folder)


def test_documents_are_written_in_groups_bounded_by_tokens(notes: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """512 texts of 8,192 tokens would need 2.1 GB of vectors if they were written at once."""
    groups: list[int] = []
    encode = type(notes.model).encode_document

    def counted(model: ColBERT, sentences: Any, **options: Any) -> Any:
        vectors = encode(model, sentences, **options)
        groups.append(sum(map(len, vectors)))
        return vectors

    put = writing.Transaction.put

    def written(transaction: Any, documents: Any, **options: Any) -> Any:
        assert sum(groups) == documents.tokens <= 1000 + 250  # the bound, and what is encoded at once
        groups.clear()
        return put(transaction, documents, **options)

    monkeypatch.setattr("latelite.texts.GROUP_TOKENS", 1000)
    monkeypatch.setattr(type(notes.model), "encode_document", counted)
    monkeypatch.setattr(writing.Transaction, "put", written)
    notes.add(range(100, 200), ["a long text about bread and trains " * 4] * 100)
    assert notes.count() >= 100
    assert not groups


def test_an_interrupted_creation_is_taken_up_again(tmp_path: Path, model: ColBERT) -> None:
    (tmp_path / "new.lt" / "model").mkdir(parents=True)
    (tmp_path / "new.lt" / "model" / "tokenizer.json").write_text("half")
    with Collection(tmp_path / "new.lt", model) as collection:
        collection.add([1], ["x"])
    with Collection(tmp_path / "new.lt") as again:
        again.verify()
