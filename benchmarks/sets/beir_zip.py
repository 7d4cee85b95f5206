"""Any set of the BEIR benchmark: the archive that it is published as."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from sets.layout import Set, SetError


def read(path: Path, split: str = "test") -> Set:
    """The documents, and the queries that ``qrels/<split>.tsv`` judges.

    Raises:
        SetError: the archive is not BEIR's, or has no such split.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.split("/", 1)[-1]: name for name in archive.namelist() if not name.endswith("/")}
            wanted = ("corpus.jsonl", "queries.jsonl", f"qrels/{split}.tsv")
            if missing := [name for name in wanted if name not in names]:
                raise SetError(f"{path.name} holds no {', '.join(missing)}")
            corpus, queries, qrels = (archive.read(names[name]).decode() for name in wanted)
    except zipfile.BadZipFile as error:
        raise SetError(f"{path.name} is no zip archive") from error
    found = Set()
    for row in map(json.loads, filter(None, corpus.splitlines())):
        found.documents[row["_id"]] = (row.get("title", ""), row["text"])
    texts = {row["_id"]: row["text"] for row in map(json.loads, filter(None, queries.splitlines()))}
    for line in qrels.splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0 and document in found.documents:
            found.queries[query] = texts[query]
            found.qrels.setdefault(query, {})[document] = int(grade)
    return found
