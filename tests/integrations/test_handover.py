"""Hand-over to other engines: they find what the collection finds, and Parquet comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite import Collection
from latelite.errors import LateliteError, OutputExistsError
from latelite.models import ColBERT

THINGS = ("rye bread", "night trains", "tax returns", "tomatoes", "bicycles", "old books", "sailing", "hot ovens")
ANGLES = ("in winter", "for beginners", "and the weather", "at a good price", "in the north", "with children")
QUESTIONS = ("Brot backen", "vélo en hiver", "treno di notte", "impuestos", "boeken", "barco à vela", "cheap tomatoes")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, encoder: ColBERT) -> Collection:
    texts = [f"A note about {thing} {angle}." for thing in THINGS for angle in ANGLES]
    ids: list[int | str] = [n if n % 2 else f"ü/{n}" for n in range(len(texts))]
    collection = Collection(tmp_path_factory.mktemp("handover") / "notes.lt", encoder)
    collection.add(ids, texts, [{"n": n, "nested": {"a": [None, True, "ü"]}} for n in range(len(texts))])
    collection.add([1], ["A replaced note about rye bread."], [{"n": -1}])
    return collection


def semantic(collection: Collection, question: str) -> list[tuple[int | str, float]]:
    """Ids and MaxSim scores of the ten best."""
    vectors = collection.model.encode_query(question)
    scored = [
        (document.id, float((vectors @ found.T).max(axis=1).sum())) for document, found in collection.token_vectors()
    ]
    return sorted(scored, key=lambda pair: -pair[1])[:10]


@pytest.mark.parametrize(("dtype", "error"), [("float32", 0.0), ("float16", 3e-4), ("int8", 4e-3)])
def test_parquet_comes_back(filled: Collection, tmp_path: Path, dtype: Any, error: float) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: make test-integrations")
    from latelite.integrations import parquet

    assert parquet.write(filled, tmp_path / "notes.parquet", dtype=dtype) == len(filled)
    with Collection(tmp_path / "back.lt", filled.model) as back:
        assert parquet.read(tmp_path / "notes.parquet", back) == len(filled)
        pairs = list(zip(filled.token_vectors(), back.token_vectors(), strict=True))
        assert all(a == b for (a, _), (b, _) in pairs)  # ids with their types, texts, metadata, in the same order
        assert max(float(np.abs(a - b).max()) for (_, a), (_, b) in pairs) <= 2e-2 + error
        if dtype == "float32":
            for question in QUESTIONS:
                assert [hit.id for hit in back.search(question)] == [hit.id for hit in filled.search(question)]


def test_parquet_of_another_model_or_of_something_else_is_refused(filled: Collection, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: make test-integrations")
    import pyarrow as pa
    import pyarrow.parquet as pq

    from latelite.integrations import parquet

    (tmp_path / "no.parquet").write_text("no")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "foreign.parquet")
    with Collection(tmp_path / "back.lt", filled.model) as back:
        with pytest.raises(LateliteError, match="no Parquet file"):
            parquet.read(tmp_path / "no.parquet", back)
        with pytest.raises(LateliteError, match="not written by latelite"):
            parquet.read(tmp_path / "foreign.parquet", back)


def test_lancedb_finds_the_same(filled: Collection, tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb", reason="lancedb is not installed: make test-integrations")
    from latelite.integrations import lance

    assert lance.write(filled, tmp_path / "lance") == len(filled)
    table = lancedb.connect(str(tmp_path / "lance")).open_table(lance.TABLE)
    for question in QUESTIONS:
        vectors = filled.model.encode_query(question)
        found = table.search(vectors).distance_type("cosine").limit(10).to_list()
        assert [row["id"] for row in found] == [str(id_) for id_, _ in semantic(filled, question)]
    with pytest.raises(OutputExistsError, match="already"):
        lance.write(filled, tmp_path / "lance")
    with pytest.raises(LateliteError, match="int8"):
        lance.write(filled, tmp_path / "other", dtype="int8")


def test_lancedb_finds_the_same_by_an_index_of_subvectors(filled: Collection, tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb", reason="lancedb is not installed: make test-integrations")
    from latelite.integrations import lance

    lance.write(filled, tmp_path / "lance")
    table = lancedb.connect(str(tmp_path / "lance")).open_table(lance.TABLE)
    dim = filled.model.dim
    table.create_index(metric="cosine", vector_column_name="vectors", num_partitions=2, num_sub_vectors=dim // 16)
    for question in QUESTIONS:
        search = table.search(filled.model.encode_query(question)).distance_type("cosine").nprobes(2)
        found = [row["id"] for row in search.refine_factor(20).limit(10).to_list()]
        wanted = [str(id_) for id_, _ in semantic(filled, question)]
        assert found[0] == wanted[0]
        assert len(set(found) & set(wanted)) >= 9


def test_qdrant_edge_finds_the_same_with_the_same_scores(filled: Collection, tmp_path: Path) -> None:
    edge = pytest.importorskip("qdrant_edge")
    from latelite.integrations import qdrant

    assert qdrant.write(filled, tmp_path / "edge") == len(filled)
    shard = edge.EdgeShard.load(str(tmp_path / "edge"))
    for question in QUESTIONS:
        vectors = filled.model.encode_query(question)
        request = edge.QueryRequest(
            limit=10, query=edge.Query.Nearest(vectors.tolist(), using=qdrant.VECTOR), with_payload=True
        )
        found = [(point.payload["id"], point.score) for point in shard.query(request)]
        wanted = semantic(filled, question)
        assert [id_ for id_, _ in found] == [id_ for id_, _ in wanted]
        assert max(abs(a - b) for (_, a), (_, b) in zip(found, wanted, strict=True)) < 1e-4
    shard.close()
    with pytest.raises(OutputExistsError, match="not an empty folder"):
        qdrant.write(filled, tmp_path / "edge")


def test_qdrants_local_mode_finds_the_same_with_the_same_scores(filled: Collection) -> None:
    client = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
    from latelite.integrations import qdrant

    assert qdrant.upload(filled, client, "notes") == len(filled)
    for question in QUESTIONS:
        vectors = filled.model.encode_query(question)
        points = client.query_points("notes", query=vectors.tolist(), using=qdrant.VECTOR, limit=10).points
        wanted = semantic(filled, question)
        assert [point.payload["id"] for point in points] == [id_ for id_, _ in wanted]
        assert max(abs(p.score - score) for p, (_, score) in zip(points, wanted, strict=True)) < 1e-4


def test_vespas_feed_has_its_documented_form(filled: Collection, tmp_path: Path) -> None:
    from latelite.integrations import vespa

    assert vespa.write(filled, tmp_path / "feed.jsonl") == len(filled)
    operations = [json.loads(line) for line in (tmp_path / "feed.jsonl").read_text(encoding="utf-8").splitlines()]
    for operation, (document, vectors) in zip(operations, filled.token_vectors(), strict=True):
        assert operation["put"].startswith("id:latelite:document::")
        assert "/" not in operation["put"].split("::", 1)[1]
        assert operation["fields"]["text"] == document.text
        assert json.loads(operation["fields"]["metadata"]) == document.metadata
        blocks = operation["fields"]["colbert"]["blocks"]
        assert list(blocks) == [str(n) for n in range(len(vectors))]
        assert np.abs(np.array(list(blocks.values())) - vectors).max() < 1e-5
    assert len({operation["put"] for operation in operations}) == len(operations)
