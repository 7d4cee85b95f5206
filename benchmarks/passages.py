"""How should files be cut into passages? Distance of cuts and overlap, judged by retrieval of long documents.

    python benchmarks/passages.py --bundle models/default-onnx --data ../data/en-lohelp ../data/de-lohelp

Questions are those of each set whose answer exceeds the encoder's document length; documents are their answers and some
others of that length. A document's score is that of its best passage (MaxSim, float32); the metric is nDCG@10.
``whole`` is the document truncated by the encoder. There is one row per set and design.
"""

from __future__ import annotations

import argparse
import io
import random
from pathlib import Path
from typing import Any

import beir
import metrics
import numpy as np
import results

from latelite import device, models
from latelite.sources import cutter
from latelite.sources.formats import plain

DESIGNS = ((0.3, 0.0), (0.45, 0.0), (0.3, 0.15), (0.45, 0.15))
"""(`cutter.REACH`, overlap)."""
_SEED = 1


def measure(model: models.ColBERT, data: beir.RetrievalSet, questions: int, others: int) -> list[dict[str, Any]]:
    """Measure all designs, one row each."""
    room = model.document_room
    lengths = dict(zip(data.documents, model.counts(list(data.documents.values())), strict=True))
    rng = random.Random(_SEED)
    asked = [q for q, relevant in data.qrels.items() if any(lengths[d] > room for d in relevant)]
    rng.shuffle(asked)
    asked = asked[:questions]
    answers = sorted({d for q in asked for d in data.qrels[q]})
    long = [d for d in data.documents if d not in set(answers) and lengths[d] > room]
    documents = answers + rng.sample(long, min(others, len(long)))
    queries = [model.encode_query(data.queries[q]) for q in asked]
    known: dict[str, Any] = {}

    def score(parts: list[list[str]]) -> dict[str, Any]:
        texts = [text for some in parts for text in some]
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, model.encode_document(new, show_progress_bar=False), strict=True))
        flat = np.concatenate([known[text] for text in texts])
        starts = np.cumsum([0, *(len(known[text]) for text in texts)])[:-1]
        firsts = np.cumsum([0, *map(len, parts)])[:-1]
        values = []
        for question, vectors in zip(asked, queries, strict=True):
            of_passages = np.maximum.reduceat(flat @ vectors.T, starts, axis=0).sum(1)
            order = np.argsort(-np.maximum.reduceat(of_passages, firsts), kind="stable")
            values.append(metrics.ndcg([documents[i] for i in order[:10]], data.qrels[question], 10))
        return {"passages": len(texts), "tokens": len(flat), "ndcg@10": round(float(np.mean(values)), 4)}

    rows = [{"set": data.name, "design": "whole", **score([[data.documents[d]] for d in documents])}]
    recorded = cutter.REACH
    try:
        for cutter.REACH, overlap in DESIGNS:
            blocks = [plain.read(io.StringIO(data.documents[d])) for d in documents]
            parts = [[c.text for c in cutter.cut(b, model.counts, limit=room, overlap=overlap)] for b in blocks]
            row = {"set": data.name, "design": f"reach {cutter.REACH}, overlap {overlap}", **score(parts)}
            print(row, flush=True)
            rows.append(row)
    finally:
        cutter.REACH = recorded
    return rows


def main() -> None:
    """Measure, print, and save the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--questions", type=int, default=150, help="of each set")
    parser.add_argument("--others", type=int, default=40, help="documents that answer none of them")
    parser.add_argument("--output", type=Path, help="folder of the result (default: benchmarks/results)")
    options = parser.parse_args()
    before = device.state()
    model = models.ColBERT(options.bundle, precision="int8")
    rows = [row for path in options.data for row in measure(model, beir.load(path), options.questions, options.others)]
    names = " ".join(path.name for path in options.data)
    counts = f"--questions {options.questions} --others {options.others}"
    command = f"python benchmarks/passages.py --data {names} {counts}"
    result = results.result_of("passages", {"rows": rows}, command=command, before=before, after=device.state())
    print(results.save(result, options.output) if options.output else results.save(result))


if __name__ == "__main__":
    main()
