"""MIRACL: topics and judgements of a language, and the passages of its Wikipedia.

A language has millions of passages. Without a limit all are written; with one the judged passages and, as distractors,
the first others: figures on such a set are no MIRACL figures, and ``meta.json`` says so.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

from sets.layout import Set, SetError


def read(topics: Path, qrels: Path, corpus: Iterable[Path], limit: int | None = None) -> Set:
    """The set of ``topics.*.tsv``, ``qrels.*.tsv`` (TREC's columns) and ``docs-*.jsonl.gz``.

    Raises:
        SetError: a line has other columns.
    """
    found = Set()
    judged: set[str] = set()
    try:
        for line in topics.read_text(encoding="utf-8").splitlines():
            query, text = line.split("\t")
            found.queries[query] = text
        for line in qrels.read_text(encoding="utf-8").splitlines():
            query, _, document, grade = line.split()
            judged.add(document)
            if int(grade) > 0:
                found.qrels.setdefault(query, {})[document] = int(grade)
    except ValueError as error:
        raise SetError(f"{topics.name} and {qrels.name} are not MIRACL's topics and qrels ({error})") from error
    for path in corpus:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if limit is None or row["docid"] in judged or len(found.documents) < limit:
                    found.documents[row["docid"]] = (row["title"], row["text"])
    return found
