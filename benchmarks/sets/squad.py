"""Reading comprehension in SQuAD's layout (XQuAD, SQuAD-es, SQuAD-it, PIAF, FaQuAD) as retrieval.

Every paragraph is a document, numbered in order; a question asks for its paragraph. A paragraph that comes twice is one
document, and a question whose wording was asked of an earlier paragraph too is left out: it has no single answer.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Container
from pathlib import Path

from sets.layout import Set, SetError


def read(path: Path, only: Container[str] | None = None) -> Set:
    """The set of a SQuAD file, gzipped or not; with ``only`` the questions of these ids and their paragraphs alone.

    Raises:
        SetError: the file is no SQuAD file.
    """
    raw = path.read_bytes()
    try:
        content = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
        paragraphs = [paragraph for article in content["data"] for paragraph in article["paragraphs"]]
        rows = [
            (paragraph["context"], [(str(one["id"]), one["question"]) for one in paragraph["qas"]])
            for paragraph in paragraphs
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise SetError(f"{path.name} is not in SQuAD's layout ({type(error).__name__}: {error})") from error
    found = Set()
    numbers: dict[str, str] = {}
    asked: dict[str, str] = {}
    for context, questions in rows:
        kept = [(name, text) for name, text in questions if only is None or name in only]
        if not kept and only is not None:
            continue
        document = numbers.setdefault(context, f"d{len(numbers)}")
        found.documents.setdefault(document, ("", context))
        for name, text in kept:
            if asked.setdefault(text.strip().casefold(), document) == document:
                found.queries[name] = text
                found.qrels[name] = {document: 1}
    return found
