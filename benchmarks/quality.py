"""How well does it find things? nDCG@10, recall@100 and MRR@10 on folders in BEIR layout.

    python benchmarks/quality.py --data ../data/en-xquad ../data/de-xquad ../data/de-xquad:../data/en-xquad
    python benchmarks/quality.py --data ../data/en-scifact --cache models/build/vectors --rows int8 bm25 --half choice

``queries:corpus`` asks one folder's queries of another folder's documents. Questions are those of the half *report*
(`halves`): what is chosen is chosen on the other. Rows:

- ``fp32``, ``int8``: the two graphs, exact MaxSim on the float32 vectors that they give;
- ``int8 Exact``, ``int8 HNSW``, ``int8 IVF``: an index with default settings, which stores int8 vectors;
- ``int8 pool 2``, ``int8 pool 3``: ``Exact`` on documents encoded with that ``pool_factor``;
- ``int8 hybrid``: a `latelite.Collection` as an app searches it, by meaning and words, over ``Exact``; its times are
  those of a whole search, encoding included;
- ``bm25``, ``bm25 stems``: Lucene's formula with k1 1.2 and b 0.75 on case-folded ``\\w+``, and on Snowball's stems;
- ``e5 mean``, ``e5 MaxSim``: the teacher (``--e5``, a Hugging Face folder) as a single vector, and late interaction of
  its 384-dimensional token vectors, in PyTorch, float32.

Each row has the interval of its nDCG@10 (bootstrap over the questions, `intervals`), and, beside ``int8 Exact``, that
of the difference on the same questions. Times are medians over ``--timed`` queries, one after another on one thread,
without encoding; ``encode_query_ms`` is the time for that. ``--cache`` keeps token vectors, which are most of the work.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Before NumPy is loaded: afterwards BLAS has its threads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import baselines  # noqa: E402
import beir  # noqa: E402
import halves  # noqa: E402
import intervals  # noqa: E402
import metrics  # noqa: E402
import numpy as np  # noqa: E402
import token_vectors  # noqa: E402
from sets import layout  # noqa: E402

from latelite import Collection, indexes, models  # noqa: E402
from latelite.manifest import Precision  # noqa: E402
from latelite.maxsim import maxsim, maxsim_batch  # noqa: E402
from latelite.pooling import pool  # noqa: E402

DEPTH = 100
POOL_FACTORS = (2, 3)
HYBRID = "int8 hybrid"
ROWS = ("fp32", "int8", *(f"int8 {kind}" for kind in indexes.KINDS), *(f"int8 pool {f}" for f in POOL_FACTORS), HYBRID)
WORDS = ("bm25", "bm25 stems")
TEACHER = ("e5 mean", "e5 MaxSim")
BASELINES = (*WORDS, *TEACHER)
REFERENCE = "int8 Exact"
_AT_ONCE = 16

Rankings = dict[str, list[str]]
Vectors = dict[str, Any]
"""Id -> (tokens, dim) float32."""


@dataclass(frozen=True)
class Ranked:
    """What a row found, and the median milliseconds of finding it."""

    rankings: Rankings
    query_ms: float | None
    index_bytes: int
    """What has to be kept of the documents."""
    encode_query_ms: float | None = None
    """Where it is not that of the bundle's graph."""


class Evaluation:
    """The rows of one set; token vectors are made once per precision."""

    def __init__(
        self, queries: Path, corpus: Path | None, bundle: Path, cache: Path, timed: int,
        half: halves.Half | None = None, e5: Path | None = None,
    ) -> None:  # fmt: skip
        """``half`` None is all questions; ``e5`` is needed for the rows `TEACHER`."""
        self.queries = queries
        self.corpus = corpus or queries
        self.data = beir.load(queries, corpus)
        if half is not None:
            self.data = beir.only(self.data, halves.of_half(self.data.queries, half))
        self._e5 = e5
        self._bundle = bundle
        self._cache = cache
        self._timed = timed
        self._vectors: dict[str, tuple[Vectors, Vectors]] = {}

    @property
    def language(self) -> str | None:
        """Of the queries, when the folder's ``meta.json`` says so."""
        return self._language_of(self.queries)

    @staticmethod
    def _language_of(folder: Path) -> str | None:
        meta = folder / "meta.json"
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

    def rows(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The figures of rows of `ROWS` and `BASELINES`."""
        found: dict[str, dict[str, Any]] = {}
        gains: dict[str, dict[str, float]] = {}
        for name in names:
            ranked = self._runner(name)()
            gains[name] = metrics.per_query(ranked.rankings, self.data.qrels, "ndcg@10")
            figures = asdict(ranked)
            del figures["rankings"]
            found[name] = {
                **metrics.evaluate(ranked.rankings, self.data.qrels),
                **figures,
                "interval": asdict(intervals.interval(gains[name])),
            }
            print(f"  {name:<12}  ndcg@10 {found[name]['ndcg@10']:.4f}", flush=True)
        for name in names:
            if REFERENCE in gains and name != REFERENCE:
                found[name]["difference"] = asdict(intervals.difference(gains[name], gains[REFERENCE]))
        return found

    def encode_query_ms(self, precision: Precision) -> float | None:
        """Median milliseconds of text -> token vectors for one query."""
        model = models.ColBERT(self._bundle, precision=precision, threads=1)
        texts = list(self.data.queries.values())[: self._timed]
        model.encode_query(texts[0])
        return _median_ms(model.encode_query, texts)

    def _runner(self, name: str) -> Callable[[], Ranked]:
        if name in ("fp32", "int8"):
            return lambda: self._exact(name)  # type: ignore[arg-type]
        if name == HYBRID:
            return self._hybrid
        if name in WORDS:
            return lambda: self._words(name == "bm25 stems")
        if name in TEACHER:
            return lambda: self._teacher(name == "e5 MaxSim")
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
        milliseconds = _median_ms(lambda q: np.argsort(-maxsim(q, flat, offsets), kind="stable"), sample)
        return Ranked(rankings, milliseconds, flat.nbytes)

    def _indexed(self, kind: str, queries: Vectors, documents: Vectors) -> Ranked:
        """The best `DEPTH` documents by an index with default settings; times are for the best ten."""
        one_thread: dict[str, Any] = {"threads": 1} if kind == "HNSW" else {}
        with tempfile.TemporaryDirectory() as folder, getattr(indexes, kind)(folder, **one_thread) as index:
            index.add_documents(list(documents), list(documents.values()))
            found = index(list(queries.values()), k=DEPTH)
            sample = list(queries.values())[: self._timed]
            milliseconds = _median_ms(lambda query: index(query, k=10), sample)
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        hits = ([str(hit["id"]) for hit in each] for each in found)
        return Ranked(dict(zip(queries, hits, strict=True)), milliseconds, size)

    def _pooled(self, factor: int) -> Ranked:
        queries, documents = self.vectors("int8")
        return self._indexed("Exact", queries, {name: pool(v, pool_factor=factor) for name, v in documents.items()})

    def _hybrid(self) -> Ranked:
        """The best `DEPTH` documents by a collection in its default mode."""
        _, documents = self.vectors("int8")
        model = models.ColBERT(self._bundle, precision="int8", threads=1)
        with (
            tempfile.TemporaryDirectory() as folder,
            Collection(Path(folder) / "set.lt", model, index="Exact") as found,
        ):
            found.add_vectors(list(documents), [self.data.documents[name] for name in documents], [*documents.values()])
            hits = found.search_batch(list(self.data.queries.values()), k=DEPTH)
            sample = list(self.data.queries.values())[: self._timed]
            milliseconds = _median_ms(lambda query: found.search(query, k=10), sample)
            size = sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file())
            size -= sum(path.stat().st_size for path in (found.folder / "model").rglob("*"))
        rankings = {name: [str(hit.id) for hit in each] for name, each in zip(self.data.queries, hits, strict=True)}
        return Ranked(rankings, milliseconds, size, 0.0)

    def _words(self, stems: bool) -> Ranked:
        """BM25; the stems are those of the documents' language."""
        best = baselines.bm25(self.data.documents, self._language_of(self.corpus) if stems else None)
        rankings = {name: best(text) for name, text in self.data.queries.items()}
        size = sum(len(text.encode()) for text in self.data.documents.values())
        return Ranked(rankings, _median_ms(best, list(self.data.queries.values())[: self._timed]), size, 0.0)

    def _teacher(self, late: bool) -> Ranked:
        if self._e5 is None:
            raise SystemExit("rows of the teacher need --e5 FOLDER, a Hugging Face folder of multilingual-e5-small")
        e5 = baselines.E5(self._e5)
        texts = list(self.data.queries.values())
        documents = e5.encode("passage: ", list(self.data.documents.values()))
        queries = e5.encode("query: ", texts)
        encode_ms = _median_ms(lambda text: e5.encode("query: ", [text]), texts[: self._timed])
        if not late:
            matrix = np.stack([baselines.mean_of(vectors) for vectors in documents])
            documents, queries = list(matrix[:, None]), [baselines.mean_of(vectors)[None] for vectors in queries]
        flat, offsets = np.concatenate(documents), np.cumsum([0, *map(len, documents)])
        ids = list(self.data.documents)

        def best(query: Any) -> list[str]:
            return [ids[i] for i in np.argsort(-maxsim(query, flat, offsets), kind="stable")[:DEPTH]]

        rankings = {name: best(query) for name, query in zip(self.data.queries, queries, strict=True)}
        return Ranked(rankings, _median_ms(best, queries[: self._timed]), flat.nbytes, encode_ms)


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
    parser.add_argument("--rows", nargs="+", default=[*ROWS, *WORDS], choices=[*ROWS, *BASELINES])
    parser.add_argument("--half", choices=[*halves.HALVES, "all"], default="report", help="which questions are asked")
    parser.add_argument("--e5", type=Path, help="Hugging Face folder of multilingual-e5-small, for its rows")
    parser.add_argument("--timed", type=int, default=100, help="queries that are timed, 0 for none")
    parser.add_argument("--cache", type=Path, help="folder for token vectors; default: a temporary one")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    manifest = models.ColBERT(options.bundle).manifest
    report: dict[str, Any] = {
        "bundle": {"id": manifest.checkpoint["id"], "fingerprint": manifest.fingerprint},
        "threads": 1,
        "half": options.half,
        "model_bytes": {graph.name: graph.stat().st_size for graph in sorted(options.bundle.glob("*.onnx"))},
        "sets": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        for pair in options.data:
            queries, _, corpus = pair.partition(":")
            cache = options.cache or Path(scratch)
            half = None if options.half == "all" else options.half
            one = Evaluation(
                Path(queries), Path(corpus) if corpus else None, options.bundle, cache, options.timed, half, options.e5
            )
            print(
                f"\n{one.data.name}: {len(one.data.documents)} documents, {len(one.data.queries)} queries", flush=True
            )
            figures: dict[str, Any] = {
                "language": one.language,
                "documents": len(one.data.documents),
                "queries": len(one.data.queries),
                "sha256": layout.checksums(one.queries)
                | ({} if one.corpus == one.queries else layout.checksums(one.corpus)),
            }
            if options.timed:
                precisions: tuple[Precision, ...] = ("fp32", "int8")
                figures["encode_query_ms"] = {p: one.encode_query_ms(p) for p in precisions}
            figures["rows"] = one.rows(options.rows)
            report["sets"][one.data.name] = figures
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
