"""Inverted lists of centroids and what a query reads from them, against loops over all tokens."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from index_samples import topical
from latelite import indexes
from latelite.indexes.ivf import interaction, lists
from latelite.indexes.ivf.codebook import assign
from latelite.indexes.ivf.interaction import Closeness
from latelite.indexes.ivf.lists import TOGETHER, Lists
from latelite.storage.segments import Segment


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Segment, Lists]:
    """300 documents with 64 centroids, written in blocks of about 500 tokens."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(lists, "BLOCK_TOKENS", 500)
    index = indexes.IVF(tmp_path, scan_threshold=1, n_centroids=64)
    index.add_documents(range(300), topical(300, longest=60))
    (segment,) = index._storage.view().segments
    return segment.files, segment.sidecar


def nearest(segment: Segment, found: Lists) -> list[np.ndarray]:
    """Per document the centroid of each token, taken from the lists."""
    result = []
    for document in range(len(segment)):
        centroids = np.full(int(segment.offsets[document + 1] - segment.offsets[document]), -1)
        for row in range(found.members_offsets[document], found.members_offsets[document + 1]):
            for place in range(TOGETHER):
                member = row * TOGETHER + place
                numbers = found.tokens[found.tokens_offsets[member] : found.tokens_offsets[member + 1]]
                assert (centroids[numbers] == -1).all()
                centroids[numbers] = found.members[row, place]
        result.append(centroids)
    return result


def test_every_token_belongs_to_one_member_of_its_document(opened: tuple[Segment, Lists]) -> None:
    segment, found = opened
    centroids = nearest(segment, found)
    assert min(part.min() for part in centroids) >= 0
    # The lists' centroids come from the means before these, of which the kept ones are rounded.
    again = assign(segment.decoded(0, segment.entry.tokens), found.codebook.centroids())
    assert (np.concatenate(centroids) == again).mean() > 0.8
    for document, part in enumerate(centroids):
        rows = found.members[found.members_offsets[document] : found.members_offsets[document + 1]]
        assert set(rows.ravel().tolist()) == set(part.tolist())
        assert len(rows) == -(-len(set(part.tolist())) // TOGETHER)
    for centroid in range(len(found.codebook)):
        postings = found.postings[found.postings_offsets[centroid] : found.postings_offsets[centroid + 1]]
        assert postings.tolist() == [number for number, part in enumerate(centroids) if centroid in part]


@pytest.mark.parametrize("tokens", [5, 32, 40])
def test_a_query_reads_the_same_as_a_loop_over_all_tokens(
    opened: tuple[Segment, Lists], monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    segment, found = opened
    centroids = nearest(segment, found)
    query = np.concatenate(topical(20, seed=3))[:tokens]
    closeness = Closeness(found.codebook, query, 4)
    numbers = np.arange(1, 300, 3)
    scores, best = closeness.interact(found, numbers)
    expected = np.array([closeness.table[centroids[number]].max(axis=0) for number in numbers])
    np.testing.assert_array_equal(best, expected)
    near, counts = closeness.near(found, numbers, best)
    products = found.codebook.centroids() @ query.T
    lowest = products.reshape(16, -1, tokens).max(axis=0).min(axis=0)  # below it products are not told apart
    exact = [np.maximum(products[centroids[number]].max(axis=0), lowest).sum() for number in numbers]
    np.testing.assert_allclose(scores, exact, atol=0.02 * tokens)
    for number, part, top in zip(numbers, np.split(near, np.cumsum(counts)[:-1]), expected, strict=True):
        bytes_ = closeness.table[centroids[number]].astype(int)
        wanted = ((bytes_ >= np.maximum(top.astype(int) - interaction._MARGIN, 1)) & (bytes_ > 0)).any(axis=1)
        assert sorted(part.tolist()) == np.flatnonzero(wanted).tolist()
    # Whatever is read at once makes no difference.
    probed = closeness.probe(found, 300, None)
    monkeypatch.setattr(interaction, "_BYTES_AT_ONCE", 1024)
    monkeypatch.setattr(interaction, "_POSTINGS_AT_ONCE", 100)
    for one, other in (
        (closeness.interact(found, numbers), (scores, best)),
        (closeness.near(found, numbers, best), (near, counts)),
        (closeness.probe(found, 300, None), probed),
    ):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_probing_counts_the_best_centroid_that_leads_to_a_document(opened: tuple[Segment, Lists]) -> None:
    segment, found = opened
    centroids = nearest(segment, found)
    query = np.concatenate(topical(20, seed=3))[:6]
    closeness = Closeness(found.codebook, query, 8)
    probed = [closeness._probed[closeness._tokens == token] for token in range(6)]
    assert min(map(len, probed)) >= 8
    numbers, scores = closeness.probe(found, 300, None)
    bytes_ = np.zeros((300, closeness.width), np.uint8)
    for token, those in enumerate(probed):
        floor = closeness.table[those, token].min()
        for document, part in enumerate(centroids):
            reached = np.intersect1d(part, those)
            bytes_[document, token] = closeness.table[reached, token].max() if len(reached) else floor
    assert numbers.tolist() == [n for n in range(300) if np.isin(centroids[n], np.concatenate(probed)).any()]
    np.testing.assert_allclose(scores, closeness.total(bytes_)[numbers], rtol=1e-6)
