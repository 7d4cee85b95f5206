"""The MaxSim benchmark: all implementations find the same top ten."""

from __future__ import annotations

import maxsim
import numpy as np


def test_the_ten_best_are_those_of_all_scores() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((4000, 32)).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    offsets = np.arange(0, 4001, 20)
    calls = maxsim.contenders(tokens[:8], tokens, offsets, np.arange(10))
    scores = np.asarray(calls["latelite int8"]())
    best = calls["latelite int8, the ten best (rough, then those near)"]()
    assert best.tolist() == np.argsort(-scores, kind="stable")[:10].tolist()
