"""Retrieval sets in BEIR layout: ``corpus.jsonl``, ``queries.jsonl``, ``qrels.tsv`` in one folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

Qrels = dict[str, dict[str, int]]
"""Query id -> document id -> relevance above 0."""


@dataclass(frozen=True)
class RetrievalSet:
    """Documents, queries and relevance judgements."""

    name: str
    documents: dict[str, str]
    queries: dict[str, str]
    qrels: Qrels


def load(folder: Path, corpus: Path | None = None) -> RetrievalSet:
    """Read a set; with ``corpus``, the queries of ``folder`` and the documents of another folder.

    Titles are prepended to texts, as in BEIR. Queries without a relevant document in the corpus are left out.

    Raises:
        FileNotFoundError: a file of the set is missing.
        ValueError: no query has a relevant document.
    """
    documents = load_corpus((corpus or folder) / "corpus.jsonl")
    qrels: Qrels = {}
    rows = (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()
    for row in rows[1:]:
        query, document, relevance = row.split("\t")
        if int(relevance) > 0 and document in documents:
            qrels.setdefault(query, {})[document] = int(relevance)
    queries = {f["_id"]: f["text"] for f in _lines(folder / "queries.jsonl") if f["_id"] in qrels}
    if not queries:
        raise ValueError(f"{folder}: no query has a relevant document.")
    name = folder.name if corpus is None else f"{folder.name} -> {corpus.name}"
    return RetrievalSet(name, documents, queries, {query: qrels[query] for query in queries})


def only(found: RetrievalSet, queries: Iterable[str]) -> RetrievalSet:
    """The set with only these queries.

    Raises:
        ValueError: no query is left.
    """
    kept = list(queries)
    if not kept:
        raise ValueError(f"{found.name}: no question is in this half.")
    texts, judged = {name: found.queries[name] for name in kept}, {name: found.qrels[name] for name in kept}
    return RetrievalSet(found.name, found.documents, texts, judged)


def load_corpus(path: Path) -> dict[str, str]:
    """The documents of a file, by id."""
    documents = {}
    for fields in _lines(path):
        title = fields.get("title", "")
        documents[fields["_id"]] = f"{title}\n{fields['text']}".strip() if title else fields["text"]
    return documents


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]
