"""NanoBEIR and its translations: parquet files of the parts ``corpus``, ``queries`` and ``qrels``.

A data set repository holds a folder for each part; its files are named by their split: ``train`` where a repository is
one set (NanoMSMARCO), the set's name where it holds all of a language (NanoBEIR-de). Qrels without a score mean 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sets.layout import Set, SetError

PARTS = ("corpus", "queries", "qrels")
FILE = re.compile(r"(?P<split>.+?)(?:-\d+-of-\d+)?\.parquet")


def splits(repository: Path) -> list[str]:
    """The splits of a repository; each is a set.

    Raises:
        SetError: a part is missing.
    """
    for part in PARTS:
        if not (repository / part).is_dir():
            raise SetError(f"{repository} has no folder {part!r}: a NanoBEIR repository has {', '.join(PARTS)}")
    matches = (FILE.fullmatch(path.name) for path in sorted((repository / "queries").glob("*.parquet")))
    return list(dict.fromkeys(match["split"] for match in matches if match))


def files(repository: Path, part: str, split: str) -> list[Path]:
    """The parquet files of a part of a set.

    Raises:
        SetError: there are none.
    """
    found = [path for path in sorted((repository / part).glob("*.parquet"))
             if (match := FILE.fullmatch(path.name)) and match["split"] == split]  # fmt: skip
    if not found:
        raise SetError(f"{repository / part} has no parquet file of {split!r}")
    return found


def rows(repository: Path, part: str, split: str) -> Iterator[dict[str, Any]]:
    """The rows of a part of a set.

    Raises:
        SetError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise SetError("parquet files need pyarrow: pip install pyarrow") from error
    for path in files(repository, part, split):
        yield from pyarrow.parquet.read_table(path).to_pylist()


def read(repository: Path, split: str) -> Set:
    """One set of a repository."""
    found = Set()
    for row in rows(repository, "corpus", split):
        found.documents[str(row["_id"])] = (row.get("title") or "", row["text"])
    for row in rows(repository, "queries", split):
        found.queries[str(row["_id"])] = row["text"]
    for row in rows(repository, "qrels", split):
        grade = int(row.get("score", 1))
        if grade > 0:
            found.qrels.setdefault(str(row["query-id"]), {})[str(row["corpus-id"])] = grade
    return found
