"""The fp32 bundle of every checkpoint of the matrix gives the reference's vectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from latelite.manifest import Manifest
from latelite.models import ColBERT
from latelite_export import export
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
        encode = (model.encode_query, model.encode_document)
    else:
        encode = (partial(model.encode, is_query=True), partial(model.encode, is_query=False))
    for role, side in zip(encode, (expected.queries, expected.documents), strict=True):
        actual, vectors = role(texts), side.vectors
        assert [len(one) for one in actual] == [len(one) for one in vectors]
        assert max(float(np.abs(a - e).max()) for a, e in zip(actual, vectors, strict=True)) <= TOLERANCE


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
    settings = manifest.settings
    unattended = settings.do_query_expansion and not settings.attend_to_expansion_tokens
    assert manifest.inputs == (("input_ids", "attention_mask") if unattended else ("input_ids",))


def test_positions_behind_the_padding_id_are_not_counted_as_positions(fp32_bundle: Callable[[str], Path]) -> None:
    assert Manifest.read(fp32_bundle("xlm-roberta")).max_positions == 512
    assert Manifest.read(fp32_bundle("bert-pylate")).max_positions == 512
