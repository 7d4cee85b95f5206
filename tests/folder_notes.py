"""Texts of folders, and what a collection made of them."""

from __future__ import annotations

from typing import Any

from latelite import Collection
from latelite.sources.report import Report

WORDS = ["rye", "bread", "train", "north", "water", "seven", "book", "table", "garden", "winter", "letter", "stone"]


def paragraph(seed: int, sentences: int = 5) -> str:
    return " ".join(
        " ".join(WORDS[(seed * 7 + s * 5 + w * (seed % 3 + 1)) % len(WORDS)] for w in range(8)).capitalize()
        + f" {seed}{s}."
        for s in range(sentences)
    )


def content(collection: Collection) -> dict[Any, tuple[str, dict[str, Any]]]:
    return {document.id: (document.text, dict(document.metadata)) for document in collection}


def counts(report: Report) -> tuple[int, int, int, int]:
    return report.added, report.unchanged, report.removed, report.moved
