"""How well does it find things? nDCG@10, recall@100 and MRR@10 on folders in BEIR layout.

    python benchmarks/quality.py --bundle models/default-onnx --data ../data/en-xquad ../data/de-xquad:../data/en-xquad

``queries:corpus`` asks one folder's queries of another folder's documents. Rows: the fp32 and int8 graphs with exact
MaxSim, int8 with each index and with token pooling, and two baselines: BM25 (k1 1.2, b 0.75, on ``\\w+``) and the mean
of the same encoder's token vectors as a single vector.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import beir
import metrics
import numpy as np

from latelite import indexes, models
from latelite.progress import Progress

DEPTH = 100
Rankings = dict[str, list[str]]


def exact_rankings(queries: dict[str, Any], documents: dict[str, Any]) -> Rankings:
    """The best `DEPTH` documents by MaxSim on float32 vectors."""
    from latelite.maxsim import maxsim_batch

    ids = list(documents)
    flat = np.concatenate(list(documents.values()))
    offsets = np.cumsum([0, *(len(v) for v in documents.values())])
    result = {}
    names = list(queries)
    for start in range(0, len(names), 16):
        batch = names[start : start + 16]
        for name, scores in zip(batch, maxsim_batch([queries[n] for n in batch], flat, offsets), strict=True):
            result[name] = [ids[i] for i in np.argsort(-scores, kind="stable")[:DEPTH]]
    return result


def index_rankings(kind: str, queries: dict[str, Any], documents: dict[str, Any]) -> tuple[Rankings, float]:
    """The best `DEPTH` documents by an index of ``kind`` with default settings, and its median milliseconds a query."""
    with tempfile.TemporaryDirectory() as folder, indexes.KINDS[kind](folder) as index:
        index.add_documents(list(documents), list(documents.values()))
        result, times = {}, []
        for name, vectors in queries.items():
            start = time.perf_counter()
            (hits,) = index([vectors], k=DEPTH)
            times.append(time.perf_counter() - start)
            result[name] = [hit["id"] for hit in hits]
    return result, float(np.median(times) * 1000)


def mean_pool_rankings(queries: dict[str, Any], documents: dict[str, Any]) -> Rankings:
    """Single vectors: the normalised mean of the token vectors, compared by cosine."""

    def pooled(vectors: dict[str, Any]) -> Any:
        means = np.stack([v.mean(axis=0) for v in vectors.values()])
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    scores = pooled(queries) @ pooled(documents).T
    ids = list(documents)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    return {name: [ids[i] for i in row] for name, row in zip(queries, order, strict=True)}


def bm25_rankings(data: beir.RetrievalSet) -> Rankings:
    """BM25 with k1 1.2 and b 0.75 over lower-cased ``\\w+``."""
    import bm25s

    def words(text: str) -> list[str]:
        return re.findall(r"\w+", text.lower())

    retriever = bm25s.BM25(k1=1.2, b=0.75)
    retriever.index([words(text) for text in data.documents.values()], show_progress=False)
    ids = list(data.documents)
    depth = min(DEPTH, len(ids))
    found, _ = retriever.retrieve([words(t) for t in data.queries.values()], k=depth, show_progress=False)
    return {name: [ids[i] for i in row] for name, row in zip(data.queries, found, strict=True)}


def rows_of(data: beir.RetrievalSet, bundle: Path, rows: Sequence[str], threads: int | None) -> dict[str, Any]:
    """Run the asked-for rows on one set; each encoding is made once."""
    encoded: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def vectors(precision: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if precision not in encoded:
            model = models.ColBERT(bundle, precision=precision, threads=threads)
            documents = model.encode_document(list(data.documents.values()))
            queries = model.encode_query(list(data.queries.values()))
            encoded[precision] = (
                dict(zip(data.queries, queries, strict=True)),
                dict(zip(data.documents, documents, strict=True)),
            )
        return encoded[precision]

    def indexed(kind: str) -> dict[str, Any]:
        rankings, milliseconds = index_rankings(kind, *vectors("int8"))
        return metrics.evaluate(rankings, data.qrels) | {"query_ms_p50": milliseconds}

    def pooled(factor: int) -> dict[str, Any]:
        from latelite.pooling import pool

        queries, documents = vectors("int8")
        smaller = {name: pool(v, pool_factor=factor) for name, v in documents.items()}
        return metrics.evaluate(exact_rankings(queries, smaller), data.qrels)

    runners: dict[str, Callable[[], dict[str, Any]]] = {
        "fp32": lambda: metrics.evaluate(exact_rankings(*vectors("fp32")), data.qrels),
        "int8": lambda: metrics.evaluate(exact_rankings(*vectors("int8")), data.qrels),
        **{f"int8 {kind}": (lambda kind=kind: indexed(kind)) for kind in indexes.KINDS},  # type: ignore[misc]
        "int8 pool 2": lambda: pooled(2),
        "int8 pool 3": lambda: pooled(3),
        "mean pool": lambda: metrics.evaluate(mean_pool_rankings(*vectors("int8")), data.qrels),
        "bm25": lambda: metrics.evaluate(bm25_rankings(data), data.qrels),
    }
    return {name: run() for name, run in runners.items() if not rows or name in rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table and, with ``--json``, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER[:CORPUS]")
    parser.add_argument("--rows", nargs="*", default=[], help="only these rows, e.g. int8 bm25")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    report: dict[str, Any] = {}
    with Progress("sets", total=len(options.data)) as bar:
        for name in options.data:
            queries, _, corpus = name.partition(":")
            data = beir.load(Path(queries), Path(corpus) if corpus else None)
            report[data.name] = rows_of(data, options.bundle, options.rows, options.threads)
            bar.advance()
            print(f"\n{data.name}: {len(data.documents)} documents, {len(data.queries)} queries")
            for row, figures in report[data.name].items():
                print(
                    f"  {row:<12}" + "".join(f"  {metric} {value:.4f}" for metric, value in figures.items()), flush=True
                )
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
