"""An upgrade of transformers or torch keeps collections: the same checkpoint has the same fingerprint under each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from latelite.manifest import Manifest
from reference import checkpoints, make_fingerprints

KEPT = json.loads(make_fingerprints.FILE.read_text())
"""Made under transformers 4.57.6; `tests/export/versions` compares under the others."""


def test_each_case_has_one() -> None:
    assert KEPT.keys() == {case.name for case in checkpoints.CASES} - set(make_fingerprints.REFUSED)
    assert len({entry["weights_sha256"] for entry in KEPT.values()}) >= len(KEPT) - 2  # some share their weights


@pytest.mark.parametrize("name", KEPT)
def test_it_is_the_same_whatever_is_installed(name: str, checkpoint: Callable[[str], Path]) -> None:
    assert make_fingerprints.fingerprints(checkpoint(name)) == KEPT[name]


def test_a_bundle_has_that_one(fp32_bundle: Callable[[str], Path]) -> None:
    manifest = Manifest.read(fp32_bundle("bert-pylate"))
    assert {name: manifest.checkpoint[name] for name in KEPT["bert-pylate"]} == KEPT["bert-pylate"]


def test_collections_made_by_earlier_exports_stay_valid(fp32_bundle: Callable[[str], Path]) -> None:
    """The bundles that the runtime's tests use were made by an earlier exporter, and are of the same vector space."""
    for kept in (Path(__file__).parents[1] / "data" / "bundles").iterdir():
        assert Manifest.read(kept).fingerprint == Manifest.read(fp32_bundle(kept.name)).fingerprint
