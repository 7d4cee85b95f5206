"""The fp32 bundle of every checkpoint of the matrix gives the reference's vectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite.manifest import Manifest
from latelite.maxsim import maxsim_documents
from latelite.models import ColBERT
from latelite.rank import rerank
from latelite_export import export
from latelite_export.architectures import ARCHITECTURES
from latelite_export.errors import UnsupportedCheckpointError
from reference import checkpoints, golden
from reference.texts import TEXTS

REFUSED = {"st6-min": "skips words of"}
"""Cases that the runtime has no settings for, and what the refusal says."""
EXPORTED = [case.name for case in checkpoints.CASES if case.name not in REFUSED]
TOLERANCE = 1e-4


@pytest.mark.parametrize("name", EXPORTED)
def test_vectors_equal_those_of_the_reference(name: str, fp32_bundle: Callable[[str], Path]) -> None:
    expected = golden.load(name)
    model = ColBERT(fp32_bundle(name), precision="fp32", threads=1)
    texts = [TEXTS[key] for key in expected.names]
    if checkpoints.case(name).layout == "sentence-transformers-6":
        encode: tuple[Callable[..., Any], ...] = (model.encode_query, model.encode_document)
    else:
        encode = (partial(model.encode, is_query=True), partial(model.encode, is_query=False))
    for role, side in zip(encode, (expected.queries, expected.documents), strict=True):
        actual, vectors = role(texts), side.vectors
        assert [len(one) for one in actual] == [len(one) for one in vectors]
        assert max(float(np.abs(a - e).max()) for a, e in zip(actual, vectors, strict=True)) <= TOLERANCE


@pytest.mark.parametrize("name", EXPORTED)
def test_pooled_documents_equal_those_of_the_reference(name: str, fp32_bundle: Callable[[str], Path]) -> None:
    expected = golden.load(name)
    model = ColBERT(fp32_bundle(name), precision="fp32", threads=1)
    six = checkpoints.case(name).layout == "sentence-transformers-6"
    encode = model.encode if not six else partial(model.encode, prompt_name=_document_prompt(model))
    assert expected.pooled
    for pooled in expected.pooled:
        actual = encode(
            [TEXTS[key] for key in pooled.names],
            is_query=False,
            pool_factor=pooled.pool_factor,
            protected_tokens=pooled.protected_tokens,
        )
        assert [len(one) for one in actual] == [len(one) for one in pooled.vectors]
        assert max(float(np.abs(a - e).max()) for a, e in zip(actual, pooled.vectors, strict=True)) <= TOLERANCE


@pytest.mark.parametrize(("prefix", "sign"), [("", 1), ("negated_", -1)])
def test_scores_and_reranking_equal_those_of_the_reference(prefix: str, sign: int) -> None:
    expected = golden.load("bert-pylate")
    arrays = expected.arrays
    queries = [sign * vectors for vectors in expected.queries.vectors]
    documents = expected.documents.vectors
    scores = np.stack([maxsim_documents(query, documents) for query in queries])
    np.testing.assert_allclose(scores, arrays[f"{prefix}scores"], atol=TOLERANCE)
    numbers = list(range(len(documents)))
    ranked = rerank([numbers] * len(queries), queries, [documents] * len(queries), pylate_compat=True)
    theirs = zip(arrays[f"{prefix}rerank_ids"], arrays[f"{prefix}rerank_scores"], strict=True)
    for ours, (ids, best) in zip(ranked, theirs, strict=True):
        by_id = dict(zip(ids.tolist(), best.tolist(), strict=True))
        assert {hit["id"]: hit["score"] for hit in ours} == pytest.approx(by_id, abs=TOLERANCE)
        np.testing.assert_allclose([hit["score"] for hit in ours], best, atol=TOLERANCE)


def test_named_prompts_equal_those_of_the_reference(fp32_bundle: Callable[[str], Path]) -> None:
    expected = golden.load("bert-prompts")
    model = ColBERT(fp32_bundle("bert-prompts"), precision="fp32", threads=1)
    for name in expected.settings["prompts"]:
        vectors = expected.arrays[f"prompt_{name}_vectors"]
        tokens = expected.arrays[f"prompt_{name}_tokens"]
        actual = model.encode([TEXTS[key] for key in expected.names], prompt_name=name)
        assert [len(one) for one in actual] == tokens.tolist()
        np.testing.assert_allclose(np.concatenate(actual), vectors, atol=TOLERANCE)


def _document_prompt(model: ColBERT) -> str | None:
    return "document" if "document" in model.manifest.settings.prompts else None


@pytest.mark.parametrize("name", EXPORTED)
def test_settings_equal_those_of_the_reference(name: str, fp32_bundle: Callable[[str], Path]) -> None:
    expected = golden.load(name).settings
    manifest = Manifest.read(fp32_bundle(name))
    assert manifest.dim == expected["dim"]
    assert set(manifest.token_ids.skiplist) == set(expected["skiplist_ids"])
    assert manifest.settings.do_lower_case == expected["do_lower_case"]
    if "query_prefix_id" in expected:  # PyLate
        assert manifest.token_ids.query_prefix == expected["query_prefix_id"]
        assert manifest.token_ids.document_prefix == expected["document_prefix_id"]
        assert manifest.token_ids.padding == expected["padding_id"]
        for key in ("query_length", "document_length", "do_query_expansion", "attend_to_expansion_tokens"):
            assert getattr(manifest.settings, key) == expected[key]
    else:  # Sentence Transformers: None means as long as the tokenizer allows
        assert manifest.settings.document_length == (expected["document_length"] or expected["max_seq_length"])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_reproduced_is_refused(name: str, checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(UnsupportedCheckpointError, match=REFUSED[name]):
        export(checkpoint(name), tmp_path / "out", scheme="fp32")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EXPORTED)
def test_a_mask_is_an_input_only_where_tokens_may_be_unattended(name: str, fp32_bundle: Callable[[str], Path]) -> None:
    manifest = Manifest.read(fp32_bundle(name))
    if manifest.graphs["fp32"].details["graph"] == "as traced":  # takes whatever the encoder's code takes
        assert manifest.inputs[:2] == ("input_ids", "attention_mask")
        return
    settings = manifest.settings
    unattended = settings.do_query_expansion and not settings.attend_to_expansion_tokens
    assert manifest.inputs == (("input_ids", "attention_mask") if unattended else ("input_ids",))


def test_every_architecture_of_the_allow_list_has_a_golden() -> None:
    assert set(ARCHITECTURES) == {case.backbone for case in checkpoints.CASES}


def test_positions_behind_the_padding_id_are_not_counted_as_positions(fp32_bundle: Callable[[str], Path]) -> None:
    assert Manifest.read(fp32_bundle("xlm-roberta")).max_positions == 512
    assert Manifest.read(fp32_bundle("bert-pylate")).max_positions == 512
