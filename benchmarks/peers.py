"""latelite beside its alternatives: the same texts on the same machine, one after another, one thread each.

    python benchmarks/peers.py --checkpoint models/latelite-colbert-16m --bundle models/default-onnx
    python benchmarks/peers.py --peer pylate=/path/to/python --peer voyager=/path/to/python

Encoders (the same checkpoint): latelite int8 and fp32, PyLate and Sentence Transformers 6 (PyTorch), OpenVINO (a plain
trace of the checkpoint, quantised to int8 by NNCF; it is given ids, so its times lack tokenization). Searchers (the
same token vectors): latelite's indexes, maxsim-cpu (exact scan), fast-plaid, Qdrant Edge (a multivector field) and
Voyager (token neighbours, then MaxSim in NumPy), with their default settings.

The peers' pins conflict, so each has its own dependency group and environment, `.venv-peers/NAME`, made by ``make
peers``; ``--peer NAME=PYTHON`` names another interpreter. A peer without one is recorded as not run. Agreement is the
cosine of query vectors to latelite fp32's and, for searchers, the share of the exact top ten that they find.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import corpora
import numpy as np
from search import percentiles

from latelite import models
from latelite.maxsim import maxsim
from latelite.tokenization import Tokenization

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv-peers"
WORKER = Path(__file__).with_name("peer_worker.py")
TIMEOUT = 600.0
K = 10


@dataclass(frozen=True)
class Peer:
    """A system to measure."""

    name: str
    """Name known to the worker; latelite's rows start with latelite."""
    role: str
    """``encoder`` or ``searcher``."""
    packages: tuple[str, ...]
    """Distributions whose versions are recorded."""


PEERS = (
    Peer("latelite int8", "encoder", ("latelite", "onnxruntime")),
    Peer("latelite fp32", "encoder", ("latelite", "onnxruntime")),
    Peer("pylate", "encoder", ("pylate", "torch", "transformers")),
    Peer("sentence-transformers", "encoder", ("sentence-transformers", "torch", "transformers")),
    Peer("openvino", "encoder", ("openvino", "nncf")),
    Peer("latelite Exact", "searcher", ("latelite", "numpy")),
    Peer("latelite HNSW", "searcher", ("latelite", "hnswlib")),
    Peer("latelite IVF", "searcher", ("latelite", "numpy")),
    Peer("maxsim-cpu", "searcher", ("maxsim-cpu",)),
    Peer("fast-plaid", "searcher", ("fast-plaid", "torch")),
    Peer("qdrant-edge", "searcher", ("qdrant-edge-py",)),
    Peer("voyager", "searcher", ("voyager",)),
)


class NotRun(Exception):
    """A peer is not installed, or failed; the message is recorded."""


def interpreter(peer: Peer, given: dict[str, str]) -> str:
    """The interpreter that has the peer.

    Raises:
        NotRun: the peer has no environment.
    """
    if peer.name.startswith("latelite"):
        return sys.executable
    if peer.name in given:
        return given[peer.name]
    python = ENVIRONMENTS / peer.name / "bin" / "python"
    if not python.exists():
        raise NotRun(f"not installed (make peers PEERS={peer.name})")
    return str(python)


def run(peer: Peer, given: dict[str, str], job: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Run the worker; its figures.

    Raises:
        NotRun: there is no interpreter, or the worker failed; the message has the last line of its output.
    """
    python = interpreter(peer, given)
    path = scratch / "job.json"
    by_ids = peer.name == "openvino"
    if by_ids and job["plain_onnx"] is None:
        raise NotRun("needs the checkpoint (--checkpoint)")
    if peer.role == "encoder" and not peer.name.startswith("latelite") and job["checkpoint"] is None:
        raise NotRun("needs the checkpoint (--checkpoint)")
    content = {**job, "packages": peer.packages, "by_ids": by_ids, "output": str(scratch / "output.npz")}
    path.write_text(json.dumps(content), encoding="utf-8")
    # -P: scripts beside the worker may have the names of packages.
    command = [python, "-P", str(WORKER), peer.name, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise NotRun(f"stopped after {TIMEOUT:.0f} s") from None
    except OSError as error:
        raise NotRun(f"{python} cannot be started: {error.strerror}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise NotRun(f"failed: {lines[-1][:200]}")
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def encoder_row(figures: dict[str, Any], output: Path, reference: Sequence[Any]) -> dict[str, Any]:
    """Percentiles, and token cosines to the reference."""
    with np.load(output) as arrays:
        vectors = np.split(arrays["vectors"], np.cumsum(arrays["lengths"])[:-1])
    compared = list(zip(vectors, reference, strict=False))
    same = all(a.shape == b.shape for a, b in compared)
    cosines = np.concatenate([(a * b).sum(axis=1) for a, b in compared]) if same else None
    return {
        "versions": figures["versions"],
        "encode_query": percentiles([each / 1000 for each in figures["encode_query_ms"]]),
        "documents_per_second": figures["documents_per_second"],
        # None: the tokens differ from the reference's
        "cosine_mean": None if cosines is None else float(cosines.mean()),
        "cosine_min": None if cosines is None else float(cosines.min()),
    }


def searcher_row(figures: dict[str, Any], oracle: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Percentiles, and the share of the exact top ten that was found."""
    found = [len(set(ids) & set(best)) / len(best) for ids, best in zip(figures["ids"], oracle, strict=True)]
    return {
        "versions": figures["versions"],
        "search": percentiles([each / 1000 for each in figures["search_ms"]]),
        "build_seconds": figures["build_seconds"],
        "index_bytes": figures["index_bytes"],
        f"recall@{K}": float(np.mean(found)),
    }


def plain_graph(checkpoint: Path, target: Path) -> Path:
    """Write an unoptimised fp32 trace of the checkpoint."""
    import onnx

    from latelite_export import configuration, encoder, layouts, tokenizer, trace
    from latelite_export.checkpoint import Overrides

    resolved = layouts.read(checkpoint, checkpoint.name, None, Overrides())
    config = configuration.read(resolved.backbone)
    onnx.save(trace.trace(encoder.build(resolved, tokenizer.load(resolved, config.parsed), config)), target)
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table and, with ``--json``, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--checkpoint", type=Path, help="checkpoint of the bundle; default: no encoder peers")
    parser.add_argument("--corpus", default="docstrings", metavar="FOLDER", help="or docstrings")
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help="interpreter of a peer")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="run only these")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    given = dict(each.split("=", 1) for each in options.peer)
    if unknown := set(given) - {peer.name for peer in PEERS}:
        parser.error(f"unknown peer {', '.join(sorted(unknown))}; known: {', '.join(p.name for p in PEERS)}")

    corpus = corpora.by_name(options.corpus).part(options.documents)
    texts, queries = list(corpus.documents.values()), list(corpus.queries[: options.queries])
    model = models.ColBERT(options.bundle, precision="fp32")
    manifest = model.manifest
    tokenization = Tokenization(model.bundle.tokenizer_path, manifest)
    vectors = {"queries": model.encode_query(queries), "documents": model.encode_document(texts)}
    flat, offsets = np.concatenate(vectors["documents"]), np.cumsum([0, *map(len, vectors["documents"])])
    oracle = [np.argsort(-maxsim(q, flat, offsets), kind="stable")[:K].tolist() for q in vectors["queries"]]
    report: dict[str, Any] = {
        "bundle": {"id": manifest.checkpoint["id"], "fingerprint": manifest.fingerprint},
        "corpus": {"name": corpus.name, "documents": len(texts), "tokens": len(flat), "queries": len(queries)},
        "threads": 1,
        "encoders": {},
        "searchers": {},
        "not_run": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        arrays: dict[str, Any] = {name: np.concatenate(each) for name, each in vectors.items()}
        lengths: dict[str, Any] = {
            f"{name}_lengths": np.array([len(v) for v in each]) for name, each in vectors.items()
        }
        np.savez(scratch / "vectors.npz", **arrays, **lengths)
        wanted = [peer for peer in PEERS if not options.only or peer.name in options.only]
        traced = (
            options.checkpoint
            and any(peer.name == "openvino" for peer in wanted)
            and ("openvino" in given or (ENVIRONMENTS / "openvino").exists())
        )
        job = {
            "documents": texts,
            "queries": queries,
            "document_ids": [tokenization.document(text).ids.tolist() for text in texts],
            "query_ids": [tokenization.query(text).ids.tolist() for text in queries],
            "bundle": str(options.bundle),
            "checkpoint": str(options.checkpoint) if options.checkpoint else None,
            "plain_onnx": str(plain_graph(options.checkpoint, scratch / "plain.onnx")) if traced else None,
            "vectors": str(scratch / "vectors.npz"),
        }
        for peer in wanted:
            try:
                figures = run(peer, given, job, scratch)
            except NotRun as reason:
                report["not_run"][peer.name] = str(reason)
                print(f"{peer.name:24} {reason}", flush=True)
                continue
            if peer.role == "encoder":
                row = encoder_row(figures, scratch / "output.npz", vectors["queries"])
                report["encoders"][peer.name] = row
                print(
                    f"{peer.name:24} query {row['encode_query']['p50']:8.2f} ms   "
                    f"{row['documents_per_second']:8.1f} documents a second   cosine {row['cosine_mean'] or 0:.5f}"
                )
            else:
                row = searcher_row(figures, oracle)
                report["searchers"][peer.name] = row
                print(
                    f"{peer.name:24} search {row['search']['p50']:7.2f} ms   built in {row['build_seconds']:7.2f} s   "
                    f"recall@{K} {row[f'recall@{K}']:.3f}"
                )
            sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
