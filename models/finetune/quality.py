"""Retrieval quality of a bundle, and the difference between two bundles."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import metrics
import numpy as np

from finetune.data import Questions
from latelite import Collection
from latelite.models import ColBERT
from latelite.search import Mode

MODES: tuple[Mode, ...] = ("semantic", "hybrid")
_SAMPLES = 2000
_STEP = 256


@dataclass(frozen=True)
class Difference:
    """nDCG@10 before and after, with the 95 % interval of the difference from a paired bootstrap over questions."""

    before: float
    after: float
    low: float
    high: float
    questions: int

    @property
    def difference(self) -> float:
        return self.after - self.before

    def as_json(self) -> dict[str, Any]:
        """Rounded, for the report."""
        values = {"before": self.before, "after": self.after, "difference": self.difference}
        return {
            **{name: round(value, 4) for name, value in values.items()},
            "interval": [round(self.low, 4), round(self.high, 4)],
            "questions": self.questions,
        }


def measure(bundle: Path, questions: Questions) -> dict[str, dict[str, float]]:
    """nDCG@10 of each question, by search mode; searches a collection, as an app does."""
    model = ColBERT(bundle)
    ids = list(questions.corpus)
    found: dict[str, dict[str, float]] = {mode: {} for mode in MODES}
    with tempfile.TemporaryDirectory() as folder, Collection(Path(folder) / "corpus.lt", model) as collection:
        for start in range(0, len(ids), _STEP):
            some = ids[start : start + _STEP]
            collection.add(some, [questions.corpus[id_] for id_ in some])
        for mode in MODES:
            for id_, query in questions.queries.items():
                ranking = [str(hit.id) for hit in collection.search(query, k=10, mode=mode)]
                found[mode][id_] = metrics.ndcg(ranking, questions.qrels[id_], 10)
    return found


def compare(before: Mapping[str, float], after: Mapping[str, float], ids: Sequence[str], seed: int = 0) -> Difference:
    """Compare the means over the questions ``ids``."""
    one, other = np.array([before[id_] for id_ in ids]), np.array([after[id_] for id_ in ids])
    drawn = np.random.default_rng(seed).integers(len(ids), size=(_SAMPLES, len(ids)))
    low, high = np.percentile((other - one)[drawn].mean(axis=1), (2.5, 97.5))
    return Difference(float(one.mean()), float(other.mean()), float(low), float(high), len(ids))
