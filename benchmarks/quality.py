"""How well does it find things? nDCG@10, recall@100 and MRR@10 on folders in BEIR layout.

    python benchmarks/quality.py --data ../data/en-xquad ../data/de-xquad ../data/de-xquad:../data/en-xquad
    python benchmarks/quality.py --data ../data/en-scifact --cache models/build/vectors --rows fp32 int8 bm25

``queries:corpus`` asks one folder's queries of another folder's documents. Rows:

- ``fp32``, ``int8``: the two graphs, exact MaxSim on the float32 vectors that they give;
- ``int8 Exact``, ``int8 HNSW``, ``int8 IVF``: an index with default settings, which stores int8 vectors;
- ``int8 pool 2``, ``int8 pool 3``: ``Exact`` on documents encoded with that ``pool_factor``;
- ``mean pool``: the same int8 encoder with the mean of its token vectors as one vector per text, compared by cosine;
- ``bm25``: bm25s (Lucene's formula) with k1 1.2 and b 0.75 on lower-cased ``\\w+``.

Times are medians over ``--timed`` queries, one after another on one thread, without encoding; ``encode_query_ms`` is
the time for that. ``--cache`` keeps token vectors, which are most of the work, for other runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# Before NumPy is loaded: afterwards BLAS has its threads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import beir  # noqa: E402
import metrics  # noqa: E402
import numpy as np  # noqa: E402
import token_vectors  # noqa: E402

from latelite import indexes, models  # noqa: E402
from latelite.manifest import Precision  # noqa: E402
from latelite.maxsim import maxsim, maxsim_batch  # noqa: E402
from latelite.pooling import pool  # noqa: E402

DEPTH = 100
POOL_FACTORS = (2, 3)
ROWS = ("fp32", "int8", *(f"int8 {kind}" for kind in indexes.KINDS), *(f"int8 pool {f}" for f in POOL_FACTORS))
BASELINES = ("mean pool", "bm25")
_AT_ONCE = 16

Rankings = dict[str, list[str]]
Vectors = dict[str, Any]
"""Id -> (tokens, dim) float32."""


@dataclass(frozen=True)
class Ranked:
    """What a row found, and the median milliseconds of finding it."""

    rankings: Rankings
    query_ms: float | None


class Evaluation:
    """The rows of one set; token vectors are made once per precision."""

    def __init__(self, queries: Path, corpus: Path | None, bundle: Path, cache: Path, timed: int) -> None:
        self.queries = queries
        self.corpus = corpus or queries
        self.data = beir.load(queries, corpus)
        self._bundle = bundle
        self._cache = cache
        self._timed = timed
        self._vectors: dict[str, tuple[Vectors, Vectors]] = {}

    @cached_property
    def language(self) -> str | None:
        """Of the queries, when the folder's ``meta.json`` says so."""
        meta = self.queries / "meta.json"
        return json.loads(meta.read_text(encoding="utf-8")).get("lang") if meta.exists() else None

    def vectors(self, precision: Precision) -> tuple[Vectors, Vectors]:
        """Queries and documents of the set."""
        if precision not in self._vectors:
            model = models.ColBERT(self._bundle, precision=precision)
            asked = token_vectors.encoded(self.queries, model, self._cache)
            found = asked if self.corpus == self.queries else token_vectors.encoded(self.corpus, model, self._cache)
            queries = dict(zip(asked.data.queries, asked.queries, strict=True))
            # The cache lacks queries that only the other corpus answers.
            rest = [name for name in self.data.queries if name not in queries]
            queries |= zip(rest, model.encode_query([self.data.queries[name] for name in rest]), strict=True)
            self._vectors[precision] = (
                {name: queries[name] for name in self.data.queries},
                dict(zip(found.data.documents, found.documents, strict=True)),
            )
        return self._vectors[precision]

    def row(self, name: str) -> dict[str, Any]:
        """The figures of one of `ROWS` or `BASELINES`."""
        ranked = self._runner(name)()
        return {**metrics.evaluate(ranked.rankings, self.data.qrels), "query_ms": ranked.query_ms}

    def encode_query_ms(self, precision: Precision) -> float:
        """Median milliseconds of text -> token vectors for one query."""
        model = models.ColBERT(self._bundle, precision=precision, threads=1)
        texts = list(self.data.queries.values())[: self._timed]
        model.encode_query(texts[0])
        return _median_ms(model.encode_query, texts)

    def _runner(self, name: str) -> Callable[[], Ranked]:
        if name in ("fp32", "int8"):
            return lambda: self._exact(name)  # type: ignore[arg-type]
        if name == "mean pool":
            return self._mean_pool
        if name == "bm25":
            return self._bm25
        kind = name.removeprefix("int8 ")
        if kind in indexes.KINDS:
            return lambda: self._indexed(kind, *self.vectors("int8"))
        return lambda: self._pooled(int(kind.removeprefix("pool ")))

    def _exact(self, precision: Precision) -> Ranked:
        """The best `DEPTH` documents by MaxSim on float32 vectors."""
        queries, documents = self.vectors(precision)
        ids, names = list(documents), list(queries)
        flat = np.concatenate(list(documents.values()))
        offsets = np.cumsum([0, *(len(v) for v in documents.values())])
        rankings = {}
        for start in range(0, len(names), _AT_ONCE):
            batch = names[start : start + _AT_ONCE]
            for name, scores in zip(batch, maxsim_batch([queries[n] for n in batch], flat, offsets), strict=True):
                rankings[name] = [ids[i] for i in np.argsort(-scores, kind="stable")[:DEPTH]]
        sample = list(queries.values())[: self._timed]
        return Ranked(rankings, _median_ms(lambda q: np.argsort(-maxsim(q, flat, offsets), kind="stable"), sample))

    def _indexed(self, kind: str, queries: Vectors, documents: Vectors) -> Ranked:
        """The best `DEPTH` documents by an index with default settings; times are for the best ten."""
        one_thread: dict[str, Any] = {"threads": 1} if kind == "HNSW" else {}
        with tempfile.TemporaryDirectory() as folder, getattr(indexes, kind)(folder, **one_thread) as index:
            index.add_documents(list(documents), list(documents.values()))
            found = index(list(queries.values()), k=DEPTH)
            sample = list(queries.values())[: self._timed]
            milliseconds = _median_ms(lambda query: index(query, k=10), sample)
        hits = ([str(hit["id"]) for hit in each] for each in found)
        return Ranked(dict(zip(queries, hits, strict=True)), milliseconds)

    def _pooled(self, factor: int) -> Ranked:
        queries, documents = self.vectors("int8")
        return self._indexed("Exact", queries, {name: pool(v, pool_factor=factor) for name, v in documents.items()})

    def _mean_pool(self) -> Ranked:
        """Single vectors: the normalised mean of the token vectors, compared by cosine."""

        def pooled(vectors: Any) -> Any:
            means = np.stack([v.mean(axis=0) for v in vectors])
            return means / np.linalg.norm(means, axis=1, keepdims=True)

        queries, documents = self.vectors("int8")
        ids, matrix = list(documents), pooled(documents.values())

        def best(query: Any) -> Any:
            return np.argsort(-(matrix @ pooled([query])[0]), kind="stable")[:DEPTH]

        rankings = {name: [ids[i] for i in best(query)] for name, query in queries.items()}
        return Ranked(rankings, _median_ms(best, list(queries.values())[: self._timed]))

    def _bm25(self) -> Ranked:
        import bm25s

        def words(text: str) -> list[str]:
            return re.findall(r"\w+", text.lower())

        retriever = bm25s.BM25(k1=1.2, b=0.75)
        ids = list(self.data.documents)
        retriever.index([words(text) for text in self.data.documents.values()], show_progress=False)
        depth = min(DEPTH, len(ids))

        def best(text: str) -> list[str]:
            found, _ = retriever.retrieve([words(text)], k=depth, show_progress=False)
            return [ids[i] for i in found[0]]

        rankings = {name: best(text) for name, text in self.data.queries.items()}
        return Ranked(rankings, _median_ms(best, list(self.data.queries.values())[: self._timed]))


def _median_ms(call: Callable[[Any], Any], arguments: Sequence[Any]) -> float | None:
    times = []
    for argument in arguments:
        start = time.perf_counter()
        call(argument)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000 if times else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table and, with ``--json``, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER[:CORPUS]")
    parser.add_argument("--rows", nargs="+", default=[*ROWS, *BASELINES], choices=[*ROWS, *BASELINES])
    parser.add_argument("--timed", type=int, default=100, help="queries that are timed, 0 for none")
    parser.add_argument("--cache", type=Path, help="folder for token vectors; default: a temporary one")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    manifest = models.ColBERT(options.bundle).manifest
    report: dict[str, Any] = {
        "bundle": {"id": manifest.checkpoint["id"], "fingerprint": manifest.fingerprint},
        "threads": 1,
        "sets": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        for pair in options.data:
            queries, _, corpus = pair.partition(":")
            cache = options.cache or Path(scratch)
            one = Evaluation(Path(queries), Path(corpus) if corpus else None, options.bundle, cache, options.timed)
            print(
                f"\n{one.data.name}: {len(one.data.documents)} documents, {len(one.data.queries)} queries", flush=True
            )
            figures: dict[str, Any] = {
                "language": one.language,
                "documents": len(one.data.documents),
                "queries": len(one.data.queries),
                "rows": {},
            }
            if options.timed:
                precisions: tuple[Precision, ...] = ("fp32", "int8")
                figures["encode_query_ms"] = {p: one.encode_query_ms(p) for p in precisions}
            for row in options.rows:
                figures["rows"][row] = one.row(row)
                values = (f"  {name} {value:.4f}" for name, value in figures["rows"][row].items() if value is not None)
                print(f"  {row:<12}" + "".join(values), flush=True)
            report["sets"][one.data.name] = figures
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
