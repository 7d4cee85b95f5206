"""The bundles in tests/data, which the runtime's tests use, equal those that the exporter writes now."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latelite.manifest import TOKENIZER_NAME, Manifest
from latelite.models import ColBERT
from latelite_export import export
from latelite_export.comparison import LIMITS
from latelite_export.verify import GOLDEN_FILE, check

DATA = Path(__file__).parents[1] / "data"
_spec = importlib.util.spec_from_file_location("make_bundles", DATA / "make_bundles.py")
assert _spec
assert _spec.loader
make_bundles = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_bundles)
ADVICE = "run python tests/data/make_bundles.py"


def test_each_one_is_of_a_case() -> None:
    assert {path.name for path in make_bundles.BUNDLES.iterdir()} == set(make_bundles.NAMES)


@pytest.mark.parametrize("name", make_bundles.NAMES)
def test_it_is_what_the_exporter_writes(checkpoint: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    export(checkpoint(name), tmp_path / name)
    kept, new = Manifest.read(make_bundles.BUNDLES / name), Manifest.read(tmp_path / name)
    assert kept.fingerprint == new.fingerprint, ADVICE
    assert _comparable(kept) == _comparable(new), ADVICE
    assert kept.files[TOKENIZER_NAME] == new.files[TOKENIZER_NAME], ADVICE
    check(make_bundles.BUNDLES / name)
    old = np.load(make_bundles.BUNDLES / name / GOLDEN_FILE)
    np.testing.assert_allclose(old, np.load(tmp_path / name / GOLDEN_FILE), atol=LIMITS.fp32_max_abs, err_msg=ADVICE)
    text = "Rye bread needs time."
    vectors = [ColBERT(folder / name, precision="int8").encode(text) for folder in (make_bundles.BUNDLES, tmp_path)]
    assert np.einsum("td,td->t", *vectors).mean() > LIMITS.cosine_mean, ADVICE


def _comparable(manifest: Manifest) -> dict[str, Any]:
    """Without the parts that depend on versions and on the exporting CPU."""
    content = asdict(manifest)
    for key in ("toolchain", "verification"):
        del content[key]
    content["files"] = sorted(content["files"])
    content["graphs"] = {name: (graph["file"], graph["scheme"]) for name, graph in content["graphs"].items()}
    return content
