"""BM25 over postings: equal to a plain oracle and to bm25s, however documents are spread over segments."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from latelite.errors import IndexCorruptError
from latelite.lexical import BM25, K1, B, Postings, as_offsets, best, build_postings, merge_postings

TERMS = (0, 1, 2, 3, 4, 5, 6, 9, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
Documents = list[list[int]]
documents = st.lists(st.lists(st.sampled_from(TERMS), max_size=20), min_size=1, max_size=12)
queries = st.lists(st.sampled_from(TERMS), max_size=6)


def postings(texts: Documents) -> Postings:
    return build_postings([np.array(text, np.uint32) for text in texts])


def oracle(texts: Documents, query: list[int]) -> list[float]:
    """BM25 divided by its upper bound, computed by the formula."""
    mean = sum(map(len, texts)) / len(texts) or 1.0
    idf = {}
    for term in query:
        having = sum(term in text for text in texts)
        idf[term] = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
    bound = sum(idf[term] * (K1 + 1) for term in query)
    scores = []
    for text in texts:
        counts = Counter(text)
        score = 0.0
        for term in query:
            frequency = counts[term]
            score += idf[term] * frequency * (K1 + 1) / (frequency + K1 * (1 - B + B * len(text) / mean))
        scores.append(score / bound if query else 0.0)
    return scores


@given(documents, queries)
def test_equals_the_formula(texts: Documents, query: list[int]) -> None:
    (scores,) = BM25([(postings(texts), None)]).score(np.array(query, np.uint32))
    np.testing.assert_allclose(scores, oracle(texts, query), atol=1e-6)
    assert ((scores >= 0) & (scores < 1 + 1e-6)).all()


def test_ranks_as_bm25s_does() -> None:
    bm25s = pytest.importorskip("bm25s")
    random = np.random.default_rng(0)
    texts = [random.zipf(1.4, size=random.integers(1, 60)).clip(max=12) - 1 for _ in range(200)]
    query = [0, 3, 7, 7, 11]
    retriever = bm25s.BM25(k1=K1, b=B, method="lucene")
    retriever.index([[str(term) for term in text] for text in texts], show_progress=False)
    expected = retriever.get_scores([str(term) for term in query])
    (scores,) = BM25([(build_postings([t.astype(np.uint32) for t in texts]), None)]).score(np.array(query, np.uint32))
    np.testing.assert_allclose(scores / scores.max(), expected / expected.max(), atol=1e-5)


@given(documents, documents, documents, queries, st.data())
def test_a_score_does_not_depend_on_how_documents_are_stored(
    first: Documents, second: Documents, third: Documents, query: list[int], data: st.DataObject
) -> None:
    """Three segments with removed documents score as one without, and as their merge does."""
    parts: list[tuple[Postings, NDArray[np.bool_] | None]] = []
    live_texts: Documents = []
    for texts in (first, second, third):
        live = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))), np.bool_)
        parts.append((postings(texts), None if bool(live.all()) and data.draw(st.booleans()) else live))
        live_texts += [text for text, alive in zip(texts, live, strict=True) if alive]
    terms = np.array(query, np.uint32)
    spread = BM25(parts).score(terms)
    assert {score.dtype for score in spread} == {np.dtype(np.float32)}
    kept = np.concatenate(
        [score if live is None else score[live] for score, (_, live) in zip(spread, parts, strict=True)]
    )
    merged = merge_postings(parts)
    (together,) = BM25([(merged, None)]).score(terms)
    np.testing.assert_array_equal(kept, together)
    if live_texts:
        rebuilt = postings(live_texts)
        for name in ("terms", "offsets", "documents", "frequencies", "lengths"):
            np.testing.assert_array_equal(getattr(merged, name), getattr(rebuilt, name))
            assert getattr(merged, name).dtype == getattr(rebuilt, name).dtype


def test_terms_that_no_document_has_lower_every_score() -> None:
    texts = postings([[1, 2], [1], [3]])
    (known,) = BM25([(texts, None)]).score(np.array([1, 2], np.uint32))
    (partly,) = BM25([(texts, None)]).score(np.array([1, 2, 9], np.uint32))
    assert 0 < partly[0] < known[0]


def test_frequencies_saturate() -> None:
    stored = postings([[4] * 1000, [5]])
    assert stored.frequencies.tolist() == [255, 1]
    assert stored.lengths.tolist() == [1000, 1]


def test_small_postings_are_small() -> None:
    """There is no table over all possible terms."""
    stored = postings([[3, 2**32 - 1]])
    assert sum(getattr(stored, field.name).nbytes for field in fields(stored)) == 34


def test_more_postings_than_offsets_can_count_are_refused() -> None:
    assert as_offsets(np.array([0, 2**32 - 1])).tolist() == [0, 2**32 - 1]
    with pytest.raises(OverflowError, match="more than a segment can have"):
        as_offsets(np.array([0, 2**32]))


def test_segments_without_removed_documents_count_together() -> None:
    """ "rare" is in one document of three, and not in the last segment only."""
    rare, everywhere = 7, 8
    parts = [(postings([[rare, everywhere]]), None), (postings([[everywhere]]), None), (postings([[everywhere]]), None)]
    (score,), *_ = BM25(parts).score(np.array([rare], np.uint32))
    assert score == pytest.approx(oracle([[rare, everywhere], [everywhere], [everywhere]], [rare])[0], abs=1e-6)


def test_damaged_postings_are_found() -> None:
    postings([[], [5]]).check()  # all postings are of one document
    stored = postings([[1, 2, 3], [2, 3]])
    stored.check()
    assert stored.offsets.tolist() == [0, 1, 3, 5]
    for offsets in ([0, 0, 3, 5], [0, 3, 3, 5], [0, 1, 5, 5], [0, 4, 3, 5], [0, 1, 6, 5]):  # a term without documents
        with pytest.raises(IndexCorruptError, match="damaged"):
            replace(stored, offsets=np.array(offsets, stored.offsets.dtype)).check()
    for terms in ([2, 2, 3], [1, 1, 3], [1, 3, 3], [2, 1, 3], [1, 3, 2]):
        with pytest.raises(IndexCorruptError, match="damaged"):
            replace(stored, terms=np.array(terms, np.uint32)).check()
    with pytest.raises(IndexCorruptError, match="damaged"):
        replace(stored, documents=stored.documents[:-1]).check()
    with pytest.raises(IndexCorruptError, match="damaged"):
        replace(stored, documents=stored.documents + 1).check()
    with pytest.raises(IndexCorruptError, match="damaged"):
        replace(stored, terms=stored.terms[::-1]).check()
    with pytest.raises(IndexCorruptError, match="damaged"):
        replace(stored, offsets=stored.offsets[:-1]).check()


def test_nothing_at_all() -> None:
    empty = postings([])
    empty.check()
    assert [len(s) for s in BM25([(empty, None)]).score(np.array([1], np.uint32))] == [0]
    assert BM25([]).score(np.array([1], np.uint32)) == []
    (scores,) = BM25([(postings([[], [1]]), None)]).score(np.array([], np.uint32))
    assert scores.tolist() == [0, 0]


@given(st.lists(st.lists(st.integers(0, 4), max_size=8), max_size=4), st.integers(1, 8), st.data())
@settings(max_examples=200)
def test_the_best_are_those_of_a_full_sort(values: list[list[int]], n: int, data: st.DataObject) -> None:
    scores = [np.array(part, np.float32) / np.float32(4) for part in values]
    allowed: list[NDArray[np.bool_] | None] = [
        data.draw(
            st.none()
            | st.lists(st.booleans(), min_size=len(part), max_size=len(part)).map(lambda b: np.array(b, np.bool_))
        )
        for part in values
    ]
    everything = [
        (-float(score), part, number)
        for part, (row, mask) in enumerate(zip(scores, allowed, strict=True))
        for number, score in enumerate(row)
        if score > 0 and (mask is None or mask[number])
    ]
    expected = sorted((part, number) for _, part, number in sorted(everything)[:n])
    found = [(part, int(number)) for part, row in enumerate(best(scores, allowed, n)) for number in row]
    assert found == expected


def test_100_000_paragraphs_take_milliseconds() -> None:
    """A generous limit; the benchmark has the actual figure."""
    random = np.random.default_rng(1)
    lengths = random.integers(40, 120, size=100_000)
    terms = np.minimum(random.zipf(1.3, size=int(lengths.sum())), 20_000).astype(np.uint32)
    stored = build_postings(np.split(terms, np.cumsum(lengths)[:-1]))
    pairs = len(stored.documents)
    size = sum(getattr(stored, field.name).nbytes for field in fields(stored))
    assert size <= 6 * pairs
    ranking = BM25([(stored, None)])
    query = np.array([3, 17, 60, 250, 900, 2500, 7000], np.uint32)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        best(ranking.score(query), [None], 100)
        times.append(time.perf_counter() - start)
    assert sorted(times)[4] < 0.05
