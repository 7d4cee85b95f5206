"""A small retrieval set."""

from __future__ import annotations

import json
from pathlib import Path

DOCUMENTS = {
    "bread": "Rye bread needs time and a hot oven.",
    "train": "The night train to the north leaves at seven.",
    "tree": "Delete a directory tree with all its files.",
    "mail": "Letters are collected twice a day from the red box.",
}
QUERIES = {"q1": ("night train to the north", "train"), "q2": ("rye bread in the oven", "bread")}


def write_set(folder: Path, language: str) -> Path:
    """Write the set in BEIR layout."""
    folder.mkdir(parents=True)
    rows = [{"_id": name, "text": text} for name, text in DOCUMENTS.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"_id": name, "text": text} for name, (text, _) in QUERIES.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = ["query-id\tcorpus-id\tscore", *(f"{name}\t{right}\t1" for name, (_, right) in QUERIES.items())]
    (folder / "qrels.tsv").write_text("\n".join(lines) + "\n")
    (folder / "meta.json").write_text(json.dumps({"lang": language}))
    return folder
