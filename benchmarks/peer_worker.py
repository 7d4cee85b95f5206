"""Runs one peer in its own interpreter; started by `peers`, reads a job and prints figures.

    PYTHON -P benchmarks/peer_worker.py PEER JOB.json

Needs NumPy and the peer, and latelite only for latelite's own peers. Encoders get texts; searchers get token vectors,
so that all search the same ones. Everything runs on one thread; each query is timed individually. Prints one line of
JSON:

- encoder: ``encode_query_ms`` (list), ``documents_per_second``; also writes the first queries' vectors for comparison;
- searcher: ``build_seconds``, ``search_ms`` (list), ``ids`` (top ten of each query), ``index_bytes``.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Before importing libraries that start threads.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

Job = dict[str, Any]
Encode = Callable[[Any], Any]
"""Texts (or ids, if the job has ids) of one kind -> list of (tokens, dim) arrays."""
Search = Callable[[Any], list[int]]
"""(tokens, dim) float32 -> indices of the best documents."""

K = 10
BATCH = 32
COMPARED = 32
"""Number of queries whose vectors are written."""


def main(peer: str, path: str) -> None:
    """Run the job described by ``path``."""
    job: Job = json.loads(Path(path).read_text(encoding="utf-8"))
    figures = _run_encoder(*ENCODERS[peer](job), job) if peer in ENCODERS else _run_searcher(SEARCHERS[peer], job)
    names = job["packages"]
    print(json.dumps({**figures, "versions": {name: importlib.metadata.version(name) for name in names}}))


def _run_encoder(query: Encode, documents: Encode, job: Job) -> Job:
    """Time each query, then all documents."""
    by_ids = "query_ids" in job and job["by_ids"]
    queries = job["query_ids"] if by_ids else job["queries"]
    texts = job["document_ids"] if by_ids else job["documents"]
    for each in queries[:8]:
        query([each])
    times, vectors = [], []
    for each in queries:
        start = time.perf_counter()
        vectors += query([each])
        times.append((time.perf_counter() - start) * 1000)
    documents(texts[:4])
    start = time.perf_counter()
    documents(texts)
    seconds = time.perf_counter() - start
    compared = [np.asarray(each, np.float32) for each in vectors[:COMPARED]]
    np.savez(job["output"], vectors=np.concatenate(compared), lengths=[len(each) for each in compared])
    return {"encode_query_ms": times, "documents_per_second": len(texts) / seconds}


def _run_searcher(build: Callable[[list[Any], Path], Search], job: Job) -> Job:
    with np.load(job["vectors"]) as arrays:
        queries, documents = (
            np.split(arrays[name], np.cumsum(arrays[f"{name}_lengths"])[:-1]) for name in ("queries", "documents")
        )
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        search = build(documents, Path(folder))
        built = time.perf_counter() - start
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        for query in queries[:8]:
            search(query)
        times, ids = [], []
        for query in queries:
            start = time.perf_counter()
            found = search(query)
            times.append((time.perf_counter() - start) * 1000)
            ids.append([int(number) for number in found[:K]])
    return {"build_seconds": built, "search_ms": times, "ids": ids, "index_bytes": size or None}


# --- encoders


def _latelite(precision: Any) -> Callable[[Job], tuple[Encode, Encode]]:
    def load(job: Job) -> tuple[Encode, Encode]:
        from latelite import models

        model = models.ColBERT(job["bundle"], precision=precision, threads=1)
        return model.encode_query, model.encode_document

    return load


def _pylate(job: Job) -> tuple[Encode, Encode]:
    import torch
    from pylate import models

    torch.set_num_threads(1)
    model = models.ColBERT(job["checkpoint"], device="cpu")

    def encode(is_query: bool) -> Encode:
        return lambda texts: list(model.encode(texts, is_query=is_query, batch_size=BATCH, show_progress_bar=False))

    return encode(True), encode(False)


def _sentence_transformers(job: Job) -> tuple[Encode, Encode]:
    import torch
    from sentence_transformers import MultiVectorEncoder

    torch.set_num_threads(1)
    model = MultiVectorEncoder(job["checkpoint"], device="cpu")

    def encode(method: Any) -> Encode:
        return lambda texts: list(method(texts, batch_size=BATCH, show_progress_bar=False, convert_to_numpy=True))

    return encode(model.encode_query), encode(model.encode_document)


def _openvino(job: Job) -> tuple[Encode, Encode]:
    """A plain trace of the checkpoint, quantised by NNCF with the documents as calibration data."""
    import nncf
    import openvino

    core = openvino.Core()
    model = core.read_model(job["plain_onnx"])
    names = [name for each in model.inputs for name in each.get_names()]

    def feed(ids: Sequence[int]) -> dict[str, Any]:
        row = np.array([ids], np.int64)
        filled = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
        return {name: filled[name] for name in names}

    sample = nncf.Dataset(job["document_ids"], feed)
    quantised = nncf.quantize(
        model, sample, model_type=nncf.ModelType.TRANSFORMER, subset_size=min(300, len(job["document_ids"]))
    )
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    request = core.compile_model(quantised, "CPU", settings).create_infer_request()

    def encode(texts: Sequence[Sequence[int]]) -> list[Any]:
        return [np.array(request.infer(feed(ids))[0][0]) for ids in texts]

    return encode, encode


# --- searchers


def _latelite_index(kind: str) -> Callable[[list[Any], Path], Search]:
    def build(documents: list[Any], folder: Path) -> Search:
        from latelite import indexes

        one_thread: dict[str, Any] = {"threads": 1} if kind == "HNSW" else {}
        index = getattr(indexes, kind)(folder, **one_thread)
        index.add_documents(range(len(documents)), documents)
        return lambda query: [hit["id"] for hit in index([query], k=K)[0]]  # type: ignore[misc]

    return build


def _maxsim_cpu(documents: list[Any], folder: Path) -> Search:
    import maxsim_cpu

    return lambda query: np.argsort(-np.asarray(maxsim_cpu.maxsim_scores_variable(query, documents)))[:K].tolist()


def _fast_plaid(documents: list[Any], folder: Path) -> Search:
    import torch
    from fast_plaid import search

    torch.set_num_threads(1)
    index = search.FastPlaid(index=str(folder / "plaid"), device="cpu")
    index.create(documents_embeddings=[torch.from_numpy(each) for each in documents])

    def find(query: Any) -> list[int]:
        (hits,) = index.search(queries_embeddings=torch.from_numpy(query)[None], top_k=K, show_progress=False)
        return [number for number, _ in hits]

    return find


def _qdrant_edge(documents: list[Any], folder: Path) -> Search:
    """A field of multivectors compared by MaxSim, after its optimisers have run."""
    import qdrant_edge as edge

    name = "colbert"
    parameters = edge.EdgeVectorParams(
        documents[0].shape[1],
        edge.Distance.Dot,
        multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
    )
    (folder / "shard").mkdir()
    shard = edge.EdgeShard.create(str(folder / "shard"), edge.EdgeConfig(vectors={name: parameters}))
    for start in range(0, len(documents), BATCH):
        batch = enumerate(documents[start : start + BATCH], start)
        points = [edge.Point(number, {name: vectors.tolist()}, {}) for number, vectors in batch]
        shard.update(edge.UpdateOperation.upsert_points(points))
    shard.optimize()
    shard.flush()

    def find(query: Any) -> list[int]:
        request = edge.QueryRequest(limit=K, query=edge.Query.Nearest(query.tolist(), using=name))
        return [hit.id for hit in shard.query(request)]

    return find


def _voyager(documents: list[Any], folder: Path) -> Search:
    """Nearest tokens from Voyager; their documents are ranked by MaxSim in NumPy."""
    import voyager

    flat, lengths = np.concatenate(documents), [len(each) for each in documents]
    owners = np.repeat(np.arange(len(documents)), lengths)
    # The defaults of latelite's HNSW, so that the two graphs are comparable.
    index = voyager.Index(
        voyager.Space.InnerProduct, num_dimensions=flat.shape[1], M=16, ef_construction=200, random_seed=100
    )
    index.add_items(flat, num_threads=1)
    index.ef = 64
    index.save(str(folder / "index.voy"))

    def find(query: Any) -> list[int]:
        tokens, _ = index.query(query, k=32, num_threads=1, query_ef=64)
        found = np.unique(owners[tokens.astype(np.int64).ravel()])
        scores = np.array([(documents[number] @ query.T).max(axis=0).sum() for number in found])
        best: list[int] = found[np.argsort(-scores, kind="stable")[:K]].tolist()
        return best

    return find


ENCODERS: dict[str, Callable[[Job], tuple[Encode, Encode]]] = {
    "latelite int8": _latelite("int8"),
    "latelite fp32": _latelite("fp32"),
    "pylate": _pylate,
    "sentence-transformers": _sentence_transformers,
    "openvino": _openvino,
}
SEARCHERS: dict[str, Callable[[list[Any], Path], Search]] = {
    "latelite Exact": _latelite_index("Exact"),
    "latelite HNSW": _latelite_index("HNSW"),
    "latelite IVF": _latelite_index("IVF"),
    "maxsim-cpu": _maxsim_cpu,
    "fast-plaid": _fast_plaid,
    "qdrant-edge": _qdrant_edge,
    "voyager": _voyager,
}


if __name__ == "__main__":
    main(*sys.argv[1:])
