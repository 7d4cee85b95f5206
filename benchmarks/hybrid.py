"""What should the words count? Lexical and semantic search, and their sums, on folders in BEIR layout.

    python benchmarks/hybrid.py --data ../data/*/ ../data/de-xquad:../data/en-xquad --cache models/build/hybrid

Every design is judged by nDCG@10. The weight of a design is chosen on one half of each set's questions (see halves.py),
and its figures are those of the other. Designs:

- ``bm25 words``, ``bm25 terms``: BM25 over words (``\\w+``, case-folded), or over the product's terms;
- ``semantic``: MaxSim / query tokens, exact;
- ``rank fusion``: reciprocal ranks of ``semantic`` and ``bm25 terms``, k = 60;
- ``terms``, the product's: MaxSim / query tokens + weight * BM25 / its upper bound, over subwords and first letters of
  words as terms of one kind; ``subwords`` and ``first letters`` take one of them, ``words`` whole words;
- ``terms, k1 1.2, b .75``: as ``terms``, with the usual parameters of BM25;
- ``adaptive``: as ``terms``, the weight times the deviation of the question's semantic scores over the mean deviation
  of the first half's questions.

``cross`` marks questions in another language than the documents. Figures hold one row per set and design, the mean over
sets, the set that loses most against the better of BM25 over words, BM25 over terms, and MaxSim, and for ``terms`` the
curve over `WEIGHTS`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import beir  # noqa: E402
import halves  # noqa: E402
import metrics  # noqa: E402
import numpy as np  # noqa: E402
import results  # noqa: E402

from latelite import device, lexical, models  # noqa: E402
from latelite.lexical import BM25, build_postings  # noqa: E402
from latelite.maxsim import maxsim_batch  # noqa: E402
from latelite.terms import FIRST_LETTERS  # noqa: E402

WEIGHTS = (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.7)
HALVES = ("bm25 words", "bm25 terms", "semantic")
USUAL = 1.2, 0.75
"""k1 and b."""
_SEED = 17
_AT_ONCE = 16
_RANK_CONSTANT = 60

Matrix = Any
"""(queries, documents) float32."""


class Set:
    """One set: the questions that are asked of it, and every score that the designs are made of."""

    def __init__(self, queries: Path, corpus: Path | None, model: models.ColBERT, cache: Path, wanted: int) -> None:
        self.data = beir.load(queries, corpus)
        self.name = self.data.name
        self.cross = corpus is not None
        names = sorted(self.data.queries)
        chosen = np.random.default_rng(_SEED).permutation(len(names))[:wanted]
        self.queries = [names[i] for i in chosen]
        self.documents = list(self.data.documents)
        self._texts = [self.data.queries[name] for name in self.queries]
        self._model = model
        self._cache = cache
        self._corpus = corpus or queries

    @cached_property
    def semantic(self) -> Matrix:
        """MaxSim / query tokens."""
        key = json.dumps([self._model.manifest.fingerprint, self._model.precision, self.name, self.queries])
        path = self._cache / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
        if not path.exists():
            documents = self._document_vectors()
            flat, offsets = np.concatenate(documents), np.cumsum([0, *map(len, documents)])
            queries = self._model.encode_query(self._texts)
            rows = []
            for start in range(0, len(queries), _AT_ONCE):
                batch = queries[start : start + _AT_ONCE]
                lengths = np.array([[len(query)] for query in batch], np.float32)
                rows.append(maxsim_batch(batch, flat, offsets) / lengths)
            np.save(path, np.concatenate(rows))
        return np.load(path)

    def _document_vectors(self) -> list[Any]:
        key = f"{self._model.manifest.fingerprint[:12]}-{self._model.precision}-{self._corpus.name}.npz"
        path = self._cache / key
        if not path.exists():
            vectors = self._model.encode_document(list(self.data.documents.values()))
            np.savez(path, vectors=np.concatenate(vectors).astype(np.float16), lengths=[len(v) for v in vectors])
        with np.load(path) as file:
            return np.split(file["vectors"].astype(np.float32), np.cumsum(file["lengths"])[:-1])

    @cached_property
    def terms(self) -> Matrix:
        """BM25 / upper bound, over the product's terms."""
        return self._bm25(self._model.analyzer.ids)

    @cached_property
    def usual(self) -> Matrix:
        """The same with the usual parameters."""
        own = lexical.K1, lexical.B
        lexical.K1, lexical.B = USUAL
        try:
            return self._bm25(self._model.analyzer.ids)
        finally:
            lexical.K1, lexical.B = own

    @cached_property
    def subwords(self) -> Matrix:
        """The same over the tokenizer's subwords alone."""
        return self._bm25(lambda text: _below(self._model.analyzer.ids(text), FIRST_LETTERS))

    @cached_property
    def first_letters(self) -> Matrix:
        """The same over the first letters of words alone."""
        return self._bm25(lambda text: _from(self._model.analyzer.ids(text), FIRST_LETTERS))

    @cached_property
    def words(self) -> Matrix:
        """The same over words."""
        return self._bm25(_numbered())

    def _bm25(self, terms_of: Callable[[str], Any]) -> Matrix:
        ranking = BM25([(build_postings([terms_of(text) for text in self.data.documents.values()]), None)])
        return np.stack([ranking.score(terms_of(text))[0] for text in self._texts])

    def ndcg(self, scores: Matrix, rows: Any) -> float:
        """nDCG@10 of the questions ``rows``; ties go to the earlier document."""
        total = 0.0
        for row in rows:
            order = np.argsort(-scores[row], kind="stable")[:10]
            total += metrics.ndcg([self.documents[i] for i in order], self.data.qrels[self.queries[row]], 10)
        return total / len(rows)


def _below(ids: Any, bound: int) -> Any:
    return ids[ids < bound]


def _from(ids: Any, bound: int) -> Any:
    return ids[ids >= bound]


def _numbered() -> Callable[[str], Any]:
    """Words of a text as numbers, the same number for the same word."""
    numbers: dict[str, int] = {}

    def terms_of(text: str) -> Any:
        words = re.findall(r"\w+", text.casefold())
        return np.array([numbers.setdefault(word, len(numbers)) for word in words], np.uint32)

    return terms_of


def _reciprocal(scores: Matrix) -> Matrix:
    ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return 1 / (_RANK_CONSTANT + 1 + ranks)


def designs(data: Set, first: Any) -> dict[str, Callable[[float], Matrix]]:
    """Name -> the scores with a weight; ``first`` are the questions that something may be learned from."""
    deviation = data.semantic.std(axis=1, keepdims=True)
    mean = float(deviation[first].mean())
    weighted = {
        "terms": data.terms,
        "subwords": data.subwords,
        "first letters": data.first_letters,
        "words": data.words,
        "terms, k1 1.2, b .75": data.usual,
        "adaptive": data.terms * (deviation / mean),
    }
    return {name: _sum(data.semantic, lexical) for name, lexical in weighted.items()}


def _sum(semantic: Matrix, lexical: Matrix) -> Callable[[float], Matrix]:
    return lambda weight: semantic + np.float32(weight) * lexical


def measure(sets: Sequence[Set]) -> dict[str, Any]:
    """The figures; see the module's docstring."""
    curves: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    rows: dict[str, dict[str, float]] = {}
    for data in sets:
        chosen_on = np.array([halves.half(query) == "choice" for query in data.queries])
        first, second = np.flatnonzero(chosen_on), np.flatnonzero(~chosen_on)
        rows[data.name] = {
            "bm25 words": data.ndcg(data.words, second),
            "bm25 terms": data.ndcg(data.terms, second),
            "semantic": data.ndcg(data.semantic, second),
            "rank fusion": data.ndcg(_reciprocal(data.semantic) + _reciprocal(data.terms), second),
        }
        for name, score in designs(data, first).items():
            matrices = [score(weight) for weight in WEIGHTS]
            curves.setdefault(name, {})[data.name] = (
                [data.ndcg(m, first) for m in matrices],
                [data.ndcg(m, second) for m in matrices],
            )
        print(data.name, {name: round(value, 3) for name, value in rows[data.name].items()}, flush=True)
    chosen: dict[str, float] = {}
    for name, curve in curves.items():
        best = int(np.argmax(np.mean([learned for learned, _ in curve.values()], axis=0)))
        chosen[name] = WEIGHTS[best]
        for data in sets:
            rows[data.name][name] = curve[data.name][1][best]
    own = [data.name for data in sets if not data.cross]
    return {
        "weights": chosen,
        "sets": rows,
        "cross": [data.name for data in sets if data.cross],
        "mean": {name: float(np.mean([rows[s][name] for s in own])) for name in rows[own[0]]},
        "mean of all": {name: float(np.mean([rows[data.name][name] for data in sets])) for name in rows[own[0]]},
        "worst": {name: _worst(rows, name) for name in chosen},
        "curve": {
            "weights": WEIGHTS,
            "first half": np.mean([curves["terms"][data.name][0] for data in sets], axis=0).tolist(),
            "second half": np.mean([curves["terms"][data.name][1] for data in sets], axis=0).tolist(),
        },
    }


def _worst(rows: Mapping[str, Mapping[str, float]], name: str) -> tuple[str, float]:
    """The set that loses most against the better of its halves, and how much."""
    lost = {each: row[name] - max(row[half] for half in HALVES) for each, row in rows.items()}
    worst = min(lost, key=lambda each: lost[each])
    return worst, lost[worst]


def main() -> None:
    """Measure, print, and save the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--data", nargs="+", required=True, help="folder, or queries:corpus")
    parser.add_argument("--queries", type=int, default=300, help="questions of each set")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--part", help="goes into the result's name")
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    model = models.ColBERT(options.bundle, precision=options.precision)
    before = device.state()
    sets = []
    for spec in options.data:
        queries, _, corpus = spec.partition(":")
        sets.append(Set(Path(queries), Path(corpus) if corpus else None, model, options.cache, options.queries))
    figures = {"queries per set": options.queries, "checkpoint": model.manifest.checkpoint["id"], **measure(sets)}
    print(json.dumps({k: figures[k] for k in ("weights", "mean", "mean of all", "worst", "curve")}, indent=1))
    if not options.no_save:
        command = "python benchmarks/hybrid.py --bundle BUNDLE --data DATA/*/ --cache CACHE"
        result = results.result_of(
            "hybrid", figures, part=options.part, command=command, before=before, after=device.state()
        )
        print(results.save(result))


if __name__ == "__main__":
    main()
