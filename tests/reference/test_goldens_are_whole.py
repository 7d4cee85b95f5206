"""The golden vectors belong to the checkpoints and texts that are here, and hold what they promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reference import checkpoints, golden
from reference.texts import TEXTS

BUDGET = 3_300_000
"""Bytes of all golden files together."""

every_case = pytest.mark.parametrize("case", checkpoints.CASES, ids=lambda case: case.name)


def test_one_golden_file_per_case() -> None:
    names = [case.name for case in checkpoints.CASES]
    assert len(set(names)) == len(names)
    assert {path.stem for path in golden.FOLDER.glob("*.npz")} == set(names)


def test_all_golden_files_are_small() -> None:
    assert sum(path.stat().st_size for path in golden.FOLDER.iterdir()) < BUDGET


@every_case
def test_checkpoint_and_texts_are_those_that_were_encoded(case: checkpoints.Case, tmp_path: Path) -> None:
    settings = golden.load(case.name).settings
    assert settings["texts"] == list(case.texts)
    assert settings["texts_sha256"] == checkpoints.texts_fingerprint(case), "the texts changed: make the goldens again"
    written = checkpoints.fingerprint(checkpoints.write(case, tmp_path))
    assert settings["checkpoint_sha256"] == written, "the checkpoint changed: make the goldens again"


@every_case
def test_made_by_the_authority_on_the_layout(case: checkpoints.Case) -> None:
    made_with = golden.load(case.name).settings["made_with"]
    if case.layout == "sentence-transformers-6":
        assert made_with["sentence-transformers"].startswith("6.")
    else:
        assert made_with["pylate"].startswith("1.6.")


@every_case
def test_every_text_has_ids_and_unit_vectors(case: checkpoints.Case) -> None:
    whole = golden.load(case.name)
    for side in (whole.queries, whole.documents):
        assert len(side.ids) == len(side.attention) == len(side.vectors) == len(case.texts)
        for ids, attention, vectors in zip(side.ids, side.attention, side.vectors, strict=True):
            assert ids.shape == attention.shape
            assert vectors.dtype == np.float32
            assert vectors.shape[1] == whole.settings["dim"]
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@every_case
def test_kept_tokens_follow_from_ids_attention_and_skiplist(case: checkpoints.Case) -> None:
    whole = golden.load(case.name)
    settings = whole.settings
    expands = settings.get("do_query_expansion") or settings.get("query_expansion") is not None
    skipped = settings.get("skiplist_tasks", ["document"])
    for task, side in (("query", whole.queries), ("document", whole.documents)):
        for ids, attention, vectors in zip(side.ids, side.attention, side.vectors, strict=True):
            keep = np.ones_like(ids, dtype=bool) if task == "query" and expands else attention == 1
            if task in skipped:
                keep &= ~np.isin(ids, settings["skiplist_ids"])
            assert len(vectors) == keep.sum()


@every_case
def test_pooled_documents_keep_their_protected_tokens(case: checkpoints.Case) -> None:
    whole = golden.load(case.name)
    documents = dict(zip(whole.names, whole.documents.vectors, strict=True))
    assert {(p.pool_factor, p.protected_tokens) for p in whole.pooled} >= {(2, 1), (3, 1), (2, 0), (3, 0)}
    for pooled in whole.pooled:
        protected = pooled.protected_tokens
        for name, vectors in zip(pooled.names, pooled.vectors, strict=True):
            assert np.linalg.norm(vectors, axis=1).max() < 1 + 1e-5
            if name in documents:
                tokens = len(documents[name]) - protected
                assert len(vectors) <= protected + max(tokens // pooled.pool_factor, 1)
                np.testing.assert_array_equal(vectors[:protected], documents[name][:protected])


def test_the_matrix_is_complete() -> None:
    cases = checkpoints.CASES
    assert {case.layout for case in cases} == {"pylate", "stanford", "sentence-transformers-6"}
    assert {case.weights for case in cases} == {"F32", "F16", "BF16"}
    assert {name for case in cases for name in case.texts} == set(TEXTS)


@pytest.mark.parametrize("prefix", ["", "negated_"])
def test_scores_are_maxsim_and_reranking_is_sorted(prefix: str) -> None:
    whole = golden.load("bert-pylate")
    sign = -1 if prefix else 1
    expected = [[(sign * q @ d.T).max(axis=1).sum() for d in whole.documents.vectors] for q in whole.queries.vectors]
    scores = whole.arrays[f"{prefix}scores"]
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    reranked = whole.arrays[f"{prefix}rerank_scores"]
    assert (np.diff(reranked, axis=1) <= 0).all()
    # The reference pads with zeros and lets them take part, so its scores are at least the true ones.
    true = np.take_along_axis(scores, whole.arrays[f"{prefix}rerank_ids"].astype(np.int64), axis=1)
    assert (reranked >= true - 1e-4).all()


def test_a_window_that_sees_nothing_is_why_two_attentions_differ() -> None:
    """Far from the text, expansion tokens differ between attention implementations; the text's own tokens never do."""
    whole = golden.load("modernbert-expansion")
    lengths = whole.arrays["eager_query_tokens"]
    eager = np.split(whole.arrays["eager_query_vectors"], np.cumsum(lengths)[:-1])
    window = 4
    differ = False
    for attention, vectors, other in zip(whole.queries.attention, whole.queries.vectors, eager, strict=True):
        reach = int(attention.sum()) + window
        np.testing.assert_allclose(vectors[:reach], other[:reach], atol=1e-5)
        differ |= bool(np.abs(vectors[reach:] - other[reach:]).max(initial=0) > 0.1)
    assert differ
