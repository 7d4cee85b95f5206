"""Intervals by the bootstrap, and halves of questions."""

from __future__ import annotations

import halves
import intervals
import numpy as np
import pytest


def test_an_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        values = draw.normal(0.5, 0.2, 60)
        found = intervals.interval({str(i): float(value) for i, value in enumerate(values)})
        covered += found.low <= 0.5 <= found.high
    assert 86 <= covered <= 100  # 95 expected; fewer than 86 has a probability below 1e-3


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    draw = np.random.default_rng(1)
    base = {str(i): float(value) for i, value in enumerate(draw.uniform(0, 0.9, 100))}
    better = {name: value + 0.02 + 0.005 * float(draw.normal()) for name, value in base.items()}
    found = intervals.difference(better, base)
    assert found.is_clear
    assert found.high - found.low < 0.1 * (intervals.interval(base).high - intervals.interval(base).low)
    assert not intervals.difference(base, base).is_clear


def test_a_difference_needs_the_same_queries() -> None:
    with pytest.raises(ValueError, match="same queries"):
        intervals.difference({"a": 1.0}, {"b": 1.0})
    with pytest.raises(ValueError, match="at least one"):
        intervals.interval({})


def test_halves_are_of_about_the_same_size_and_never_move() -> None:
    names = [f"q{i}" for i in range(1000)]
    choice, report = (halves.of_half(names, side) for side in halves.HALVES)
    assert len(choice) + len(report) == 1000
    assert not set(choice) & set(report)
    assert 430 < len(choice) < 570
    assert halves.half("56beb4343aeaaa14008c925b") == "choice"  # a constant: questions keep their half
