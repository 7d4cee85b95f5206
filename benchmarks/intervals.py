"""Confidence intervals of metrics by bootstrap over queries.

`DRAWS` samples of all queries are drawn with replacement; an interval spans the middle 95 % of their means. Differences
are paired (the same queries on both sides), which makes their intervals much narrower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

DRAWS = 2_000
SHARE = 0.95
_SEED = 20_261_125
_AT_ONCE = 200


@dataclass(frozen=True)
class Interval:
    """A mean and the bounds of its interval."""

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero, so that a difference is significant."""
        return self.low > 0 or self.high < 0


def interval(values: Mapping[str, float]) -> Interval:
    """The mean of per-query values and its interval.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("An interval needs at least one query.")
    sample = np.array([values[name] for name in sorted(values)])
    draw = np.random.default_rng(_SEED)
    means = np.empty(DRAWS)
    for start in range(0, DRAWS, _AT_ONCE):
        picked = draw.integers(len(sample), size=(min(_AT_ONCE, DRAWS - start), len(sample)))
        means[start : start + len(picked)] = sample[picked].mean(axis=1)
    low, high = np.quantile(means, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return Interval(float(sample.mean()), float(low), float(high))


def difference(values: Mapping[str, float], reference: Mapping[str, float]) -> Interval:
    """``values`` minus ``reference`` on the same queries.

    Raises:
        ValueError: the queries are not the same.
    """
    if values.keys() != reference.keys():
        raise ValueError("A paired difference needs the same queries on both sides.")
    return interval({name: values[name] - reference[name] for name in values})
