"""A set on the disk: ``corpus.jsonl``, ``queries.jsonl``, ``qrels.tsv`` and ``meta.json`` with checksums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILES = ("corpus.jsonl", "queries.jsonl", "qrels.tsv")


class SetError(ValueError):
    """A file is not what its converter reads; the message is one sentence for the person who ran it."""


@dataclass
class Set:
    """Documents, queries and judgements, in the order in which they are written."""

    documents: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Id -> title and text."""
    queries: dict[str, str] = field(default_factory=dict)
    qrels: dict[str, dict[str, int]] = field(default_factory=dict)
    """Query id -> document id -> relevance above 0."""

    def check(self) -> None:
        """Raise SetError if a judgement names a document or a query that is not there, or nothing is judged."""
        if not self.qrels:
            raise SetError("no query has a relevant document")
        for query, judged in self.qrels.items():
            if query not in self.queries:
                raise SetError(f"query {query!r} is judged, but not among the queries")
            for document in judged:
                if document not in self.documents:
                    raise SetError(f"document {document!r} is judged, but not among the documents")


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of a set's files, by the folder's and the file's name."""
    return {f"{folder.name}/{name}": sha256(folder / name) for name in FILES}


def write(found: Set, folder: Path, meta: Mapping[str, object], sources: Iterable[Path]) -> None:
    """Write a set; ``meta.json`` holds ``meta``, and the checksums of what was read and of what was written.

    Raises:
        SetError: the set does not hold together, or the folder holds something already.
    """
    found.check()
    if folder.exists() and any(folder.iterdir()):
        raise SetError(f"{folder} is not empty: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as out:
        for name, (title, text) in found.documents.items():
            out.write(json.dumps({"_id": name, "title": title, "text": text}, ensure_ascii=False) + "\n")
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as out:
        for name, text in found.queries.items():
            if name in found.qrels:
                out.write(json.dumps({"_id": name, "text": text}, ensure_ascii=False) + "\n")
    with (folder / "qrels.tsv").open("w", encoding="utf-8") as out:
        out.write("query-id\tcorpus-id\tscore\n")
        for query, judged in found.qrels.items():
            for document, grade in judged.items():
                out.write(f"{query}\t{document}\t{grade}\n")
    written = {
        **meta,
        "documents": len(found.documents),
        "queries": len(found.qrels),
        "sources": {path.name: sha256(path) for path in sources},
        "sha256": {name: sha256(folder / name) for name in FILES},
    }
    (folder / "meta.json").write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def verify(folder: Path) -> None:
    """Raise SetError unless the set's files are those that ``meta.json`` gives the checksums of."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    if "sha256" not in meta:
        raise SetError(f"{folder}/meta.json holds no checksums")
    for name, expected in meta["sha256"].items():
        if sha256(folder / name) != expected:
            raise SetError(f"{folder / name} is not the file that was written: convert it again")
