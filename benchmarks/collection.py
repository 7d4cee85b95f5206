"""What do words, filters, explanations and changes of metadata cost in a collection? On one thread.

    python benchmarks/collection.py --data DATA/en-scifact --paragraphs TEXTS/*.jsonl.gz --json benchmarks/results

explain   ms that ten explained hits take more than ten hits, median over the set's questions: ``cold`` are explanations
          of documents that were not explained before, ``warm`` the same ones again.
filters   a collection of 100,000 documents of one made vector each: ms of a search, median, without a filter; with
          ``where`` on a field without an index, that half of the documents match: a value, a ``range``; the same
          filter ``again``; on a field with an index, that 1 % match. ``more`` is the median of what a filter adds.
metadata  seconds that new metadata of 1,000 of these documents take.
words     a collection of 100,000 paragraphs (``text`` of JSON lines), of one made vector each: ms of a search, median
          over titles of paragraphs, by meaning alone and with the words; bytes on disk of a posting, that is of one
          term of one document.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

# Before NumPy and the tokenizer are loaded: afterwards they have their threads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import beir  # noqa: E402
import numpy as np  # noqa: E402
import results  # noqa: E402

from latelite import Collection, device, models  # noqa: E402
from latelite.search import Mode  # noqa: E402
from latelite.storage.postings import open_postings  # noqa: E402

DOCUMENTS = 100_000
CHANGED = 1_000
_REPEATS = 15
_SHORTEST, _LONGEST = 200, 2000
"""Characters of a paragraph."""
_WORDS = 3
"""Of a title that is asked, at least."""


def milliseconds(call: Callable[[], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def median(times: list[float]) -> float:
    return round(float(np.median(times)), 2)


def explained(model: models.ColBERT, data: Path, wanted: int, work: Path) -> dict[str, Any]:
    """The part ``explain``; each question is asked without, then with an explanation, then with one again."""
    found = beir.load(data)
    questions = list(found.queries.values())[:wanted]
    with Collection(work / "explain.lt", model) as collection:
        chosen = list({name for query in list(found.queries)[:wanted] for name in found.qrels[query]})
        others = [name for name in found.documents if name not in set(chosen)][: 10 * wanted]
        names = chosen + others
        collection.add(names, [found.documents[name] for name in names], show_progress_bar=False)
        collection.search(questions[0], k=10, explain=True)
        plain, cold, warm = [], [], []
        for question in questions:
            collection.search(question, k=10)
            plain.append(milliseconds(partial(collection.search, question, k=10)))
            cold.append(milliseconds(partial(collection.search, question, k=10, explain=True)))
            warm.append(milliseconds(partial(collection.search, question, k=10, explain=True)))
        return {
            "documents": len(names),
            "questions": len(questions),
            "plain_ms": median(plain),
            "cold_more_ms": median([a - b for a, b in zip(cold, plain, strict=True)]),
            "warm_more_ms": median([a - b for a, b in zip(warm, plain, strict=True)]),
        }


def filtered(model: models.ColBERT, work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parts ``filters`` and ``metadata``."""
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((DOCUMENTS, 1, model.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    texts = [f"note {number} of the archive" for number in range(DOCUMENTS)]
    metadata = [{"even": n % 2, "year": 1900 + n % 100, "shelf": n % 100, "title": f"t{n}"} for n in range(DOCUMENTS)]
    with Collection(work / "filters.lt", model) as collection:
        collection.add_vectors(range(DOCUMENTS), texts, list(vectors), metadata)
        collection.compact()
        collection.index_metadata("shelf")
        times: dict[str, list[float]] = {}
        for turn in range(_REPEATS + 1):
            # Each turn asks what was not asked before: answers are remembered.
            half = {"even": {"$in": [1, DOCUMENTS + turn]}}
            cases: dict[str, Mapping[str, Any] | None] = {
                "unfiltered": None,
                "not_indexed": half,
                "again": half,
                "range": {"year": {"$gte": 1950, "$lt": 2001 + turn}},
                "indexed": {"shelf": 7 + turn},
            }
            for name, where in cases.items():
                took = milliseconds(partial(collection.search, "a note on the archive", k=10, where=where))
                if turn:
                    times.setdefault(name, []).append(took)
        filters = {"documents": DOCUMENTS, **{f"{name}_ms": median(each) for name, each in times.items()}}
        plain = times.pop("unfiltered")
        more = {name: [a - b for a, b in zip(each, plain, strict=True)] for name, each in times.items()}
        filters |= {f"{name}_more_ms": median(each) for name, each in more.items()}
        changes = []
        for turn in range(5):
            ids = list(range(turn * CHANGED, (turn + 1) * CHANGED))
            new = [{"year": 2000 + turn, "shelf": turn} for _ in ids]
            changes.append(milliseconds(partial(collection.update_metadata, ids, new)) / 1000)
        return filters, {"documents": DOCUMENTS, "changed": CHANGED, "seconds": round(float(np.median(changes)), 3)}


def read_paragraphs(files: Sequence[Path]) -> tuple[list[str], list[str]]:
    """`DOCUMENTS` paragraphs, of all files in turn, and the titles that some of them have."""
    texts: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(gzip.open(path, "rt", encoding="utf-8")) for path in files]
        for lines in itertools.zip_longest(*opened):
            for line in filter(None, lines):
                content = json.loads(line)
                text = content.get("text") or ""
                if _SHORTEST <= len(text) <= _LONGEST:
                    texts.setdefault(text, str(content.get("title") or ""))
            if len(texts) >= DOCUMENTS:
                break
    kept = list(texts)[:DOCUMENTS]
    return kept, sorted({texts[text] for text in kept if len(texts[text].split()) >= _WORDS})


def worded(model: models.ColBERT, files: Sequence[Path], wanted: int, work: Path) -> dict[str, Any]:
    """The part ``words``."""
    texts, titles = read_paragraphs(files)
    rng = np.random.default_rng(5)
    questions = [titles[at] for at in rng.permutation(len(titles))[:wanted]]
    vectors = rng.standard_normal((len(texts), 1, model.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    with Collection(work / "words.lt", model) as collection:
        collection.add_vectors(range(len(texts)), texts, list(vectors))
        collection.compact()
        times: dict[Mode, list[float]] = {"semantic": [], "hybrid": []}
        for mode in times:
            collection.search(questions[0], k=10, mode=mode)
        for question in questions:
            for mode, each in times.items():
                each.append(milliseconds(partial(collection.search, question, k=10, mode=mode)))
        postings = [found for part in collection._storage.view().parts if (found := open_postings(part)) is not None]
    arrays = [getattr(each, field.name) for each in postings for field in fields(each)]
    count = sum(len(each.documents) for each in postings)
    return {
        "documents": len(texts),
        "mean_characters": round(float(np.mean([len(text) for text in texts]))),
        "questions": len(questions),
        **{f"{mode}_ms": median(each) for mode, each in times.items()},
        "more_ms": median([a - b for a, b in zip(times["hybrid"], times["semantic"], strict=True)]),
        "postings": count,
        "bytes_per_posting": round(sum(array.nbytes for array in arrays) / count, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/default-onnx"))
    parser.add_argument("--data", type=Path, help="a folder in BEIR layout, for explanations; left out without it")
    parser.add_argument("--paragraphs", type=Path, nargs="+", help="gzipped JSON lines; no words are measured without")
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write a result into this folder")
    options = parser.parse_args()
    model = models.ColBERT(options.bundle, threads=1)
    before = device.state()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        if options.data:
            figures["explain"] = explained(model, options.data, options.questions, Path(scratch))
            print(figures["explain"], flush=True)
        if options.paragraphs:
            figures["words"] = worded(model, options.paragraphs, 5 * options.questions, Path(scratch))
            print(figures["words"], flush=True)
        figures["filters"], figures["metadata"] = filtered(model, Path(scratch))
        print(figures["filters"], figures["metadata"], flush=True)
    if options.json:
        command = "python benchmarks/collection.py --data DATA/en-scifact --paragraphs TEXTS --json benchmarks/results"
        result = results.result_of("collection", figures, command=command, before=before, after=device.state())
        print(results.save(result, options.json))


if __name__ == "__main__":
    main()
