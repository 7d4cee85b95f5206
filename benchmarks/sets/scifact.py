"""SciFact's own release: ``corpus.jsonl`` of abstracts and a file of claims, as BEIR reads it.

The document of an abstract is its title and its sentences; a claim asks for the abstracts that it cites.
"""

from __future__ import annotations

import json
from pathlib import Path

from sets.layout import Set, SetError


def read(corpus: Path, claims: Path) -> Set:
    """The set of a file of abstracts and a file of claims.

    Raises:
        SetError: a file is not SciFact's.
    """
    found = Set()
    try:
        for row in map(json.loads, corpus.read_text(encoding="utf-8").splitlines()):
            found.documents[str(row["doc_id"])] = (row["title"], " ".join(part.strip() for part in row["abstract"]))
        for row in map(json.loads, claims.read_text(encoding="utf-8").splitlines()):
            name = str(row["id"])
            found.queries[name] = row["claim"]
            if row["cited_doc_ids"]:
                found.qrels[name] = {str(document): 1 for document in row["cited_doc_ids"]}
    except (ValueError, KeyError, TypeError) as error:
        raise SetError(f"{corpus.name} and {claims.name} are not SciFact's release ({error})") from error
    return found
