"""What the approximate kinds promise beyond the contract: recall at default settings, and the traps of hnswlib."""

from __future__ import annotations

import builtins
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from index_samples import ids_of, topical
from latelite import indexes
from latelite.errors import IndexCorruptError, IndexVersionError, IndexWriteError, MissingExtraError
from latelite.indexes.hnsw import GRAPH, _sampled_scores
from latelite.indexes.ivf.codebook import Codebook, _k_means, assign, centroid_count, distances, fit
from latelite.storage.merging import FANOUT, LARGEST, next_merge
from latelite.storage.segments import SegmentEntry


@pytest.mark.parametrize(("kind", "options"), [("HNSW", {}), ("IVF", {"scan_threshold": 8192})])
@pytest.mark.parametrize("adds", [1, 10])
def test_recall_at_default_settings(tmp_path: Path, kind: str, options: dict[str, int], adds: int) -> None:
    """But for the threshold, above which so few tokens are not scanned."""
    corpus = topical(1500, dim=32, topics=300, longest=60)
    exact = indexes.Exact(tmp_path, "exact", store="float32").add_documents(range(1500), corpus)
    index = getattr(indexes, kind)(tmp_path, "index", **options)
    for part in np.array_split(np.arange(1500), adds):
        index.add_documents(part.tolist(), corpus[part[0] : part[-1] + 1])
    assert any(segment.sidecar for segment in index._storage.view().segments)
    queries = [document[::3] for document in topical(60, dim=32, topics=300, seed=9, longest=60)]
    found = [
        len(set(ids_of(a)) & set(ids_of(b))) for a, b in zip(exact(queries, k=10), index(queries, k=10), strict=True)
    ]
    assert sum(found) / (10 * len(queries)) >= 0.97


# ----------------------------------------------------------------------------------------------------------------- HNSW


def test_hnswlib_is_asked_for_only_by_hnsw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "hnswlib":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r'pip install "latelite\[hnsw\]"'):
        indexes.HNSW(tmp_path)
    corpus = topical(50)
    for kind in (indexes.Exact, indexes.IVF):
        index = kind(tmp_path, kind.kind).add_documents(range(50), corpus)
        assert ids_of(index(corpus[7], k=1)[0]) == [7]


def test_one_thread_builds_the_same_graph_twice(tmp_path: Path) -> None:
    corpus = topical(300)
    graphs = []
    for name in ("a", "b"):
        indexes.HNSW(tmp_path, name, graph_threshold=1, threads=1).add_documents(range(300), corpus)
        graphs.append(next((tmp_path / name).rglob(GRAPH)).read_bytes())
    assert graphs[0] == graphs[1]


def test_ef_is_set_again_after_loading_and_an_asked_for_k_may_exceed_the_tokens(tmp_path: Path) -> None:
    corpus = topical(60)
    indexes.HNSW(tmp_path, graph_threshold=1).add_documents(range(60), corpus)
    again = indexes.HNSW(tmp_path, graph_threshold=1, ef_search=77)
    assert again._storage.view().segments[0].sidecar.ef == 77
    assert len(again(corpus[0], k=10_000)[0]) == 60


def test_a_graph_of_another_length_is_refused_although_hnswlib_would_load_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = indexes.HNSW(tmp_path, graph_threshold=1).add_documents(range(30), topical(30))
    path = next((tmp_path / "index").rglob(GRAPH))
    hnswlib = pytest.importorskip("hnswlib")
    other = hnswlib.Index(space="l2", dim=16)
    other.init_index(5)
    other.add_items(np.eye(5, 16, dtype=np.float32))
    other.save_index(str(path))
    with pytest.raises(IndexCorruptError, match=GRAPH):
        indexes.HNSW(tmp_path)
    index.close()


def test_a_graph_that_was_not_written_whole_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`save_index` says nothing when the disk is full."""
    real = pytest.importorskip("hnswlib").Index

    class Cut(real):  # type: ignore[misc, valid-type]
        def save_index(self, path: str) -> None:
            super().save_index(path)
            os.truncate(path, 1000)

    index = indexes.HNSW(tmp_path, graph_threshold=1)
    hnswlib = cast(Any, index._kind)._hnswlib
    monkeypatch.setattr(hnswlib, "Index", Cut)
    with pytest.raises(IndexWriteError, match="No space left"):
        index.add_documents(range(30), topical(30))
    monkeypatch.setattr(hnswlib, "Index", real)
    assert len(index) == 0
    index.add_documents(range(30), topical(30)).verify()


def test_merging_goes_on_with_the_graph_of_the_first_segment(tmp_path: Path) -> None:
    corpus = topical(90)
    index = indexes.HNSW(tmp_path, graph_threshold=1, threads=1)
    index.add_documents(range(60), corpus[:60]).add_documents(range(60, 90), corpus[60:])
    index.compact()
    graph = index._storage.view().segments[0].sidecar
    assert graph.get_current_count() == sum(len(document) for document in corpus)
    assert all(ids_of(index(corpus[n], k=1)[0]) == [n] for n in range(0, 90, 7))
    index.remove_documents([0])
    index.compact()  # a removed document: built anew, without its tokens
    assert index._storage.view().segments[0].sidecar.get_current_count() == sum(len(d) for d in corpus[1:])


def test_a_graph_with_other_links_is_built_anew_when_segments_are_merged(tmp_path: Path) -> None:
    corpus = topical(60)
    indexes.HNSW(tmp_path, graph_threshold=1, threads=1).add_documents(range(30), corpus[:30]).close()
    with indexes.HNSW(tmp_path, M=8) as index:
        index.add_documents(range(30, 60), corpus[30:])
        index.compact()
        assert index._storage.view().segments[0].sidecar.M == 8
        assert ids_of(index(corpus[45], k=1)[0]) == [45]


def test_documents_are_sifted_by_the_tokens_found_and_a_sample_of_the_others(tmp_path: Path) -> None:
    corpus = topical(40, longest=60)
    index = indexes.HNSW(tmp_path, graph_threshold=1).add_documents(range(40), corpus)
    files = index._storage.view().segments[0]
    query, numbers = topical(1, seed=8)[0], np.array([3, 4, 20])
    hits = np.sort(np.concatenate([files.offsets[numbers + 1] - 1, files.offsets[[4]] + 1]))
    scores = _sampled_scores(files, query, numbers, hits)
    for number, score in zip(numbers.tolist(), scores.tolist(), strict=True):
        tokens = files.embeddings(number)
        looked_at = [*range(0, len(tokens), 16), len(tokens) - 1, *([1] if number == 4 else [])]
        assert score == pytest.approx((query @ tokens[looked_at].T).max(axis=1).sum(), rel=0.02)


def test_only_so_many_candidates_are_scored_but_never_fewer_than_asked_for(tmp_path: Path) -> None:
    corpus = topical(200)
    index = indexes.HNSW(tmp_path, graph_threshold=1, k_token=200, ef_search=200, n_candidates=1)
    index.add_documents(range(200), corpus)
    assert len(index(corpus[3], k=60)[0]) == 60
    assert ids_of(index(corpus[3], k=1)[0]) == [3]
    (chosen,) = index._kind.candidates(index._storage.view(), corpus[3], 2, [None])
    assert chosen is not None
    assert 16 <= len(chosen) <= 24


@pytest.mark.parametrize(
    "option", [{"M": 1}, {"ef_construction": 0}, {"ef_search": 1}, {"k_token": 0}, {"n_candidates": 0}]
)
def test_hnsw_refuses_senseless_settings(tmp_path: Path, option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        indexes.HNSW(tmp_path, **option)


# ------------------------------------------------------------------------------------------------------------------ IVF


def codebooks(index: indexes.IVF) -> set[str]:
    """Checksums of the codebooks in use."""
    return {segment.sidecar.name for segment in index._storage.view().segments}


def test_added_documents_share_the_codebook_until_it_is_outgrown(tmp_path: Path) -> None:
    index = indexes.IVF(tmp_path, scan_threshold=1)
    corpus = topical(1200)
    index.add_documents(range(100), corpus[:100])
    first = codebooks(index)
    index.add_documents(range(100, 150), corpus[100:150])
    assert codebooks(index) == first
    index.add_documents(range(150, 1200), corpus[150:])  # eleven times as many tokens
    assert len(codebooks(index)) == 2
    index.compact()
    assert len(codebooks(index)) == 1
    assert not codebooks(index) & first
    index.verify()


def test_a_codebook_is_fitted_again_when_tokens_drift(tmp_path: Path) -> None:
    index = indexes.IVF(tmp_path, scan_threshold=1)
    index.add_documents(range(100), topical(100))
    elsewhere = [np.roll(-document, 5, axis=1) for document in topical(100, topics=3, seed=4)]
    index.add_documents(range(100, 200), elsewhere)
    assert len(codebooks(index)) == 2
    assert ids_of(index(elsewhere[5], k=1)[0]) == [105]


def test_a_segment_may_have_nothing_to_contribute(tmp_path: Path) -> None:
    corpus, query = topical(400), topical(1, seed=8)[0]
    elsewhere = [-document for document in corpus[:200]]
    index = indexes.IVF(tmp_path, scan_threshold=1, n_candidates=12)
    index.add_documents(range(400), corpus).add_documents(range(400, 600), elsewhere)
    assert all(segment.sidecar for segment in index._storage.view().segments)
    near, far = index._kind.candidates(index._storage.view(), query, 1, [None, None])
    assert near is not None
    assert far is not None
    assert len(near) > 0
    assert len(far) == 0
    exact = indexes.Exact(tmp_path, "exact").add_documents(range(400), corpus)
    assert ids_of(index(query, k=1)[0]) == ids_of(exact(query, k=1)[0])


def test_k_means_finds_directions() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((16, 32)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    sample = np.concatenate([centres + 0.01 * rng.standard_normal((16, 32)) for _ in range(40)]).astype(np.float32)
    centroids = fit(sample, 32)
    assert ((centres @ centroids.T).max(axis=1) > 0.99).mean() > 0.9
    nearest = assign(sample, centroids)
    kept = np.unique(nearest)
    means = [sample[nearest == number].mean(axis=0) for number in kept]
    np.testing.assert_allclose(centroids[kept], means, atol=0.05)
    np.testing.assert_array_equal(centroids, fit(sample, 32))
    assert fit(sample[:3], 16).shape == (3, 32)
    assert [centroid_count(n) for n in (1, 10_000, 1_200_000, 20_000_000)] == [8, 256, 8192, 32768]


def test_every_centroid_keeps_a_token_where_there_are_enough() -> None:
    """Half of the starting centroids sit on one spot: all but one of them lose their tokens and move."""
    rng = np.random.default_rng(0)
    crowd = np.tile(np.eye(1, 16, dtype=np.float32), (500, 1))
    others = rng.standard_normal((500, 16)).astype(np.float32)
    sample = np.concatenate([crowd, others / np.linalg.norm(others, axis=1, keepdims=True)])
    centroids = fit(sample, 64)
    assert len(np.unique(assign(sample, centroids))) > 50


def test_few_tokens_lie_far_from_all_centroids() -> None:
    """Words as frequent as in a text, more of them than centroids: rare ones must not go without."""
    rng = np.random.default_rng(0)
    frequencies = 1 / np.arange(1, 401)
    words = rng.choice(400, 8000, p=frequencies / frequencies.sum())
    sample = rng.standard_normal((400, 64))[words] + 0.2 * rng.standard_normal((8000, 64))
    sample = (sample / np.linalg.norm(sample, axis=1, keepdims=True)).astype(np.float32)
    plain, fitted = (
        distances(sample, centroids, assign(sample, centroids))
        for centroids in (_k_means(sample, 256, np.asarray)[0], fit(sample, 256))
    )
    assert np.percentile(fitted, 98) < 0.85 * np.percentile(plain, 98)
    assert fitted.mean() < 1.05 * plain.mean()


def test_integer_products_find_a_centroid_that_is_as_near_as_the_nearest() -> None:
    rng = np.random.default_rng(0)
    centroids = rng.standard_normal((4096, 64)).astype(np.float32)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    tokens = centroids[rng.integers(0, 4096, 3000)] + 0.1 * rng.standard_normal((3000, 64)).astype(np.float32)
    products = tokens @ centroids.T
    nearest = assign(tokens, centroids)
    assert (nearest == products.argmax(axis=1)).mean() > 0.97
    assert (products.max(axis=1) - products[np.arange(3000), nearest]).max() < 0.03


def test_a_codebook_rounds_products_to_seven_bits() -> None:
    rng = np.random.default_rng(0)
    centroids = rng.standard_normal((256, 64)).astype(np.float32)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    query = centroids[:5] + 0.05
    products, steps = Codebook.of(centroids).closeness(query)
    assert products.shape == (256, 5)
    np.testing.assert_allclose(products * steps, centroids @ query.T, atol=0.03)


@pytest.mark.parametrize("option", ["n_probe", "n_candidates", "n_centroids"])
def test_ivf_refuses_senseless_settings(tmp_path: Path, option: str) -> None:
    with pytest.raises(ValueError, match=option):
        cast(Any, indexes.IVF)(tmp_path, **{option: 0})


# ------------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("kind", "written", "changed"),
    [
        ("IVF", {"n_probe": 64, "n_candidates": 1000, "n_centroids": 16, "scan_threshold": 100}, {"n_probe": 3}),
        ("HNSW", {"M": 32, "ef_search": 50, "graph_threshold": 9}, {"ef_search": 60}),
    ],
)
def test_settings_stay_at_reopening(
    tmp_path: Path, kind: str, written: dict[str, int], changed: dict[str, int]
) -> None:
    make = getattr(indexes, kind)
    with make(tmp_path, **written) as index:
        index.add_documents(range(5), topical(5))
        settings = dict(index._kind.settings)
    assert settings.items() >= written.items()
    with make(tmp_path) as again:
        assert again._kind.settings == settings
        again.add_documents([5], topical(1))
    with make(tmp_path, **changed) as again:  # an argument wins, and is recorded by the next write
        assert again._kind.settings == settings | changed
    with make(tmp_path) as again:
        assert again._kind.settings == settings


def test_exact_keeps_its_store(tmp_path: Path) -> None:
    with indexes.Exact(tmp_path, store="float32") as index:
        index.add_documents(range(5), topical(5))
    with indexes.Exact(tmp_path) as again:
        assert again._kind.store == "float32"
        again.add_documents([5], topical(1))
    with pytest.raises(IndexVersionError):
        indexes.IVF(tmp_path)


# ------------------------------------------------------------------------------------------------------------ merging


def entry(tokens: int, documents: int = 10) -> SegmentEntry:
    return SegmentEntry(1, documents, str(tokens), documents, tokens, 0, "{}")


def test_eight_of_a_tier_are_merged_and_the_large_are_left_alone() -> None:
    assert next_merge([]) is None
    assert next_merge([entry(100)] * (FANOUT - 1)) is None
    assert next_merge([entry(100)] * FANOUT) == slice(0, FANOUT)
    assert next_merge([entry(10**6)] + [entry(100)] * (FANOUT - 1)) is None
    assert next_merge([entry(10**6)] + [entry(100)] * FANOUT) == slice(1, FANOUT + 1)
    assert next_merge([entry(LARGEST)] * 20) is None


def test_adding_costs_in_proportion_to_what_is_added() -> None:
    """Tokens written over 1,000 adds of 1,000 tokens: each token once per tier."""
    segments: list[SegmentEntry] = []
    written = 0
    for _ in range(1000):
        segments.append(entry(1000))
        written += 1000
        while part := next_merge(segments):
            merged = entry(sum(segment.tokens for segment in segments[part]))
            written += merged.tokens
            segments[part] = [merged]
    assert written < 6 * 1_000_000
    assert len(segments) < 3 * FANOUT
