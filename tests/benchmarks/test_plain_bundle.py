"""The int8 graph that optimum makes runs as a bundle, so that the same benchmarks measure it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from latelite import models
from latelite.bundle import Bundle


def test_the_plain_int8_graph_answers_as_a_bundle(
    checkpoint: Callable[[str], Path], bundle: Callable[[str], Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnx", reason="traces a checkpoint, which needs the toolchain (make test-all)")
    import plain_bundle

    ours = bundle("bert-pylate")
    arguments = ["--checkpoint", str(checkpoint("bert-pylate")), "--bundle", str(ours), "-o", str(tmp_path / "plain")]
    assert plain_bundle.main(arguments) == 0
    assert set(Bundle(tmp_path / "plain").manifest.graphs) == {"int8"}
    Bundle(tmp_path / "plain").verify()
    exact = models.ColBERT(ours, precision="fp32").encode("Bread needs time.", is_query=False)
    plain = models.ColBERT(tmp_path / "plain", precision="int8").encode("Bread needs time.", is_query=False)
    assert 0.9 < float((exact * plain).sum(axis=1).mean()) < 0.999999
    assert not np.array_equal(plain, models.ColBERT(ours, precision="int8").encode("Bread needs time.", is_query=False))
