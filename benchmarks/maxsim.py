"""How fast is MaxSim? One query, documents of different lengths, one thread, beside other ways to compute it.

    python benchmarks/maxsim.py --json maxsim.json

Vectors are synthetic (normalised Gaussian; the time does not depend on the values), lengths uniform. PyLate's padded
einsum is timed if torch is installed, with a ready padded array and with padding for every query, as in PyLate's
``rank.rerank``; maxsim-cpu is timed if it is installed, on a list of documents. The products alone, without maxima, are
a lower bound for MaxSim on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

# Before NumPy is loaded: afterwards BLAS has its threads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

from latelite.indexes.ranking import nth_largest  # noqa: E402
from latelite.maxsim import maxsim, rough_error  # noqa: E402
from latelite.maxsim.blocks import BLOCK_TOKENS  # noqa: E402
from latelite.maxsim.graphs import GROUP, products, session  # noqa: E402
from latelite.storage.quantisation import Grid  # noqa: E402


def contenders(
    query: np.ndarray, tokens: np.ndarray, offsets: np.ndarray, chosen: np.ndarray
) -> dict[str, Callable[[], Any]]:
    """Name -> function that computes the scores of all documents (for the last ones, of ``chosen``)."""
    grid = Grid.fit(tokens.min(axis=0), tokens.max(axis=0))
    codes, quantisation = grid.encode(tokens), grid.to_array()
    bounds = list(pairwise(offsets.tolist()))
    columns = np.ascontiguousarray(query.T)
    one_document = {
        "owners": np.zeros((BLOCK_TOKENS // GROUP, 1), np.int64),
        "shared": np.empty(0, np.int64),
        "token_owners": np.empty((0, GROUP, 1), np.int64),
        "start": np.full((1, len(query)), -np.inf, np.float32),
    }
    longest = float(np.linalg.norm(codes.astype(np.float32), axis=1).max())

    def best(k: int) -> Any:
        """As in `latelite.indexes.ranking`: rough scores, then exact ones for all that may be in the top k."""
        rough = maxsim(query, codes, offsets, quantisation=quantisation, rough=True)
        error = rough_error(query, quantisation, longest)
        near = np.flatnonzero(rough >= nth_largest(rough, k) - 2 * error)
        exact = maxsim(query, codes, offsets, documents=near, quantisation=quantisation)
        return near[np.argsort(-exact, kind="stable")[:k]]

    found: dict[str, Callable[[], Any]] = {
        "latelite float32": lambda: maxsim(query, tokens, offsets),
        "latelite int8": lambda: maxsim(query, codes, offsets, quantisation=quantisation),
        "latelite int8, the ten best (rough, then those near)": lambda: best(10),
        "latelite int8, rough": lambda: maxsim(query, codes, offsets, quantisation=quantisation, rough=True),
        "loop over documents (NumPy)": lambda: [(query @ tokens[a:b].T).max(axis=1).sum() for a, b in bounds],
    }
    try:
        import torch
    except ImportError:
        pass
    else:
        torch.set_num_threads(1)
        batch, ragged = torch.from_numpy(query)[None], [torch.from_numpy(tokens[a:b]) for a, b in bounds]
        pad = partial(torch.nn.utils.rnn.pad_sequence, ragged, batch_first=True)
        padded = pad()

        def einsum(documents: Any) -> Any:
            return torch.einsum("ash,bth->abst", batch, documents).max(dim=-1).values.sum(dim=-1)

        found["padded einsum (torch, as PyLate)"] = lambda: einsum(padded)
        found["padding and einsum (torch, as PyLate's rerank)"] = lambda: einsum(pad())
    try:
        import maxsim_cpu
    except ImportError:
        pass
    else:
        documents = [tokens[a:b] for a, b in bounds]
        found["maxsim-cpu (ragged)"] = lambda: maxsim_cpu.maxsim_scores_variable(query, documents)
    for name, rough in (("", False), (", rough", True)):
        found[f"latelite int8, {len(chosen)} candidates{name}"] = partial(
            maxsim, query, codes, offsets, documents=chosen, quantisation=quantisation, rough=rough
        )
    found["product alone (NumPy)"] = lambda: [block @ query.T for block in blocks(tokens)]
    unsigned, high = (codes.view(np.uint8) ^ np.uint8(128)), np.zeros((tokens.shape[1], len(query)), np.int8)
    found["int8 product alone, 7 bits (ONNX Runtime)"] = lambda: [
        products().run(None, {"rows": block, "columns": high}) for block in blocks(unsigned)
    ]
    found["product and maxima of each block (ONNX Runtime)"] = lambda: [
        session("float32").run(
            None, {"tokens": block.reshape(-1, GROUP, block.shape[1]), "query": columns} | one_document
        )
        for block in blocks(tokens)
    ]
    return found


def blocks(tokens: np.ndarray) -> Iterator[np.ndarray]:
    """The token vectors in whole blocks; an incomplete last block is left out."""
    return (tokens[end - BLOCK_TOKENS : end] for end in range(BLOCK_TOKENS, len(tokens), BLOCK_TOKENS))


def measure(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each call, interleaved so that disturbances affect all of them."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values) * 1000) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--shortest", type=int, default=60)
    parser.add_argument("--longest", type=int, default=256)
    parser.add_argument("--query-tokens", type=int, default=32)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--candidates", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures as JSON")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    lengths = rng.integers(options.shortest, options.longest + 1, options.documents)
    offsets = np.cumsum([0, *lengths])
    tokens = rng.standard_normal((int(offsets[-1]), options.dim)).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    query = tokens[rng.choice(len(tokens), options.query_tokens)].copy()
    chosen = np.sort(rng.choice(options.documents, min(options.candidates, options.documents), replace=False))

    milliseconds = measure(contenders(query, tokens, offsets, chosen), options.repeats)
    reference = milliseconds["latelite float32"]
    print(f"{options.documents} documents, {len(tokens)} tokens, {options.query_tokens} query tokens, 1 thread")
    for name, value in milliseconds.items():
        print(f"{name:52} {value:8.2f} ms  {value / reference:6.2f}x")
    if options.json:
        record = {
            "settings": {k: v for k, v in vars(options).items() if k != "json"},
            "tokens": len(tokens),
            "milliseconds": milliseconds,
            "machine": {"processor": platform.processor() or platform.machine(), "threads": 1},
            "versions": {"python": sys.version.split()[0], "numpy": np.__version__},
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
