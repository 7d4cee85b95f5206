"""Measure a checkpoint folder with torch: nDCG@10 of exact MaxSim on retrieval sets in BEIR layout, and anisotropy.

    python models/recipe/measure.py models/build/default --data DIR --sets de-xquad en-xquad de-xquad:en-xquad

``a:b`` searches b's documents with a's queries (the sets must share ids). The folder is read as PyLate reads it:
prefix token at position 1, skiplist on documents, Dense layer, L2 normalisation.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModel

Vectors = NDArray[np.float32]
CUTOFF = 10
BLOCK = 30_000
"""Document tokens scored at a time."""


class Checkpoint:
    """A folder in PyLate's layout, with one Dense layer and no query expansion."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32, document_length: int | None = None) -> None:
        self.settings = json.loads((folder / "config_sentence_transformers.json").read_text())
        self.settings["document_length"] = document_length or self.settings["document_length"]
        self.model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval().to(dtype)
        dense = load_file(folder / "1_Dense" / "model.safetensors")
        self.weight, self.bias = dense["linear.weight"], dense["linear.bias"]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        unknown = self.tokenizer.token_to_id("<unk>")
        ids = (self.tokenizer.token_to_id(word) for word in self.settings["skiplist_words"])
        self.skipped = np.array(sorted({unknown if i is None else i for i in ids}))

    @torch.inference_mode()
    def encode(self, texts: list[str], role: str, batch: int = 16) -> list[Vectors]:
        """Token vectors ``(tokens, dim)`` of each text; ``role`` is "query" or "document"."""
        self.tokenizer.enable_truncation(self.settings[f"{role}_length"] - 1)
        prefix = self.tokenizer.token_to_id(self.settings[f"{role}_prefix"])
        encodings = self.tokenizer.encode_batch([text.strip() for text in texts])
        ids = [[e.ids[0], prefix, *e.ids[1:]] for e in encodings]
        found: list[Vectors] = [np.empty((0, 0), np.float32)] * len(ids)
        by_length = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        for start in range(0, len(ids), batch):
            chosen = by_length[start : start + batch]
            rows = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids[i]) for i in chosen], batch_first=True)
            lengths = torch.tensor([len(ids[i]) for i in chosen])
            mask = (torch.arange(rows.shape[1]) < lengths[:, None]).long()
            hidden = self.model(input_ids=rows, attention_mask=mask).last_hidden_state.float()
            vectors = torch.nn.functional.normalize(hidden @ self.weight.T + self.bias, dim=-1).numpy()
            for row, i in enumerate(chosen):
                kept = slice(None) if role == "query" else ~np.isin(ids[i], self.skipped)
                found[i] = vectors[row, : len(ids[i])][kept]
        return found


@dataclass(frozen=True)
class Retrieval:
    """One retrieval set."""

    documents: dict[str, str]
    queries: dict[str, str]
    relevant: dict[str, set[str]]


def read_set(folder: Path) -> Retrieval:
    """A folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels.tsv``."""
    documents, queries = (
        [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        for name in ("corpus.jsonl", "queries.jsonl")
    )
    relevant: dict[str, set[str]] = {}
    for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            relevant.setdefault(query, set()).add(document)
    return Retrieval(
        {d["_id"]: f"{d.get('title') or ''} {d['text']}".strip() for d in documents},
        {q["_id"]: q["text"] for q in queries if q["_id"] in relevant},
        relevant,
    )


def maxsim(queries: list[Vectors], documents: list[Vectors]) -> Vectors:
    """Scores ``(queries, documents)``."""
    query_tokens = np.concatenate(queries)
    query_starts = np.cumsum([0, *(len(q) for q in queries[:-1])])
    scores = np.empty((len(queries), len(documents)), np.float32)
    start = 0
    while start < len(documents):
        stop, tokens = start, 0
        while stop < len(documents) and tokens < BLOCK:
            tokens += len(documents[stop])
            stop += 1
        block = documents[start:stop]
        starts = np.cumsum([0, *(len(d) for d in block[:-1])])
        best = np.maximum.reduceat(query_tokens @ np.concatenate(block).T, starts, axis=1)
        scores[:, start:stop] = np.add.reduceat(best, query_starts, axis=0)
        start = stop
    return scores


def ndcg(ranked: list[list[str]], relevant: list[set[str]], cutoff: int = CUTOFF) -> float:
    """Mean nDCG with binary gains."""
    discount = 1 / np.log2(np.arange(2, cutoff + 2))
    values = []
    for documents, right in zip(ranked, relevant, strict=True):
        gains = np.array([document in right for document in documents[:cutoff]], dtype=float)
        values.append(gains @ discount[: len(gains)] / discount[: min(len(right), cutoff)].sum())
    return float(np.mean(values))


def anisotropy(vectors: list[Vectors], pairs: int = 20_000) -> float:
    """Mean cosine of two random token vectors."""
    flat = np.concatenate(vectors)
    draw = np.random.default_rng(0).integers(0, len(flat), (2, pairs))
    return float(np.einsum("ij,ij->i", flat[draw[0]], flat[draw[1]]).mean())


def measure(checkpoint: Checkpoint, queries: Retrieval, documents: Retrieval) -> dict[str, float]:
    """nDCG@10 and anisotropy of one set."""
    document_vectors = checkpoint.encode(list(documents.documents.values()), "document")
    scores = maxsim(checkpoint.encode(list(queries.queries.values()), "query"), document_vectors)
    names = np.array(list(documents.documents))
    ranked = [list(names[order]) for order in np.argsort(-scores, axis=1, kind="stable")[:, :CUTOFF]]
    tokens = sum(map(len, document_vectors))
    return {
        "ndcg@10": round(ndcg(ranked, [queries.relevant[q] for q in queries.queries]), 4),
        "anisotropy": round(anisotropy(document_vectors), 3),
        "tokens_per_document": round(tokens / len(document_vectors), 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure a checkpoint folder.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of retrieval sets in BEIR layout")
    parser.add_argument("--sets", nargs="+", required=True, help="names of sets, or QUERIES:DOCUMENTS")
    parser.add_argument("--document-length", type=int, help="instead of the checkpoint's own")
    parser.add_argument("--bfloat16", action="store_true", help="several times faster on CPUs that have it")
    options = parser.parse_args()
    dtype = torch.bfloat16 if options.bfloat16 else torch.float32
    checkpoint = Checkpoint(options.checkpoint, dtype, options.document_length)
    for name in options.sets:
        queries, _, documents = name.partition(":")
        query_set = read_set(options.data / queries)
        document_set = read_set(options.data / documents) if documents else query_set
        print(json.dumps({"set": name, **measure(checkpoint, query_set, document_set)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
