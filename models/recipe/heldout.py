"""Held-out quality during training: nDCG@10 on pages that are never trained on, by source, language and direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recipe import losses
from recipe.batches import Cache, Side
from recipe.examples import read_documents

SOURCES = ("office", "packages", "squad", "abstracts", "manuals", "desktop")
CANDIDATES = 300
"""Documents searched: the held-out ones, then others of the same source and language."""
LONGEST = 160
BATCH = 32
CUTOFF = 10

Encode = Callable[[Side, str], tuple[torch.Tensor, torch.Tensor]]
"""Vectors ``(texts, tokens, dim)`` and mask of a side in a role."""


@dataclass(frozen=True)
class Task:
    """Queries over one source's documents in one language; ``relevant[i]`` is the place of query ``i``'s document."""

    name: str
    documents: tuple[int, ...]
    own: tuple[tuple[int, int], ...]
    foreign: tuple[tuple[int, int], ...]


def build_tasks(examples: Path) -> list[Task]:
    """One task for each source and language; pairs are (query's text, place of its document)."""
    rows: dict[tuple[str, str], list[dict[str, object]]] = {}
    for row in read_documents(examples):
        if row["source"] in SOURCES:
            rows.setdefault((row["source"], row["language"]), []).append(row)
    tasks = []
    for (source, language), found in sorted(rows.items()):
        ordered = sorted(found, key=lambda row: not row["held_out"])[:CANDIDATES]
        own, foreign = [], []
        for place, row in enumerate(ordered):
            if row["held_out"]:
                for other, text in row["queries"]:  # type: ignore[attr-defined]
                    (own if other == language else foreign).append((text, place))
        documents = tuple(int(row["text"]) for row in ordered)  # type: ignore[call-overload]
        tasks.append(Task(f"{source}-{language}", documents, tuple(own), tuple(foreign)))
    return tasks


def gain(scores: NDArray[np.float32], relevant: Sequence[int]) -> float:
    """Mean nDCG@10 with one relevant document for each query; ties count against it."""
    own = scores[np.arange(len(scores)), relevant]
    rank = (scores >= own[:, None]).sum(axis=1)
    return float(np.where(rank <= CUTOFF, 1 / np.log2(rank + 1), 0).mean())


@torch.inference_mode()
def measure(cache: Cache, tasks: Sequence[Task], encode: Encode) -> dict[str, float]:
    """nDCG@10 by task, own-language and foreign queries apart, and their means."""
    result: dict[str, float] = {}
    for task in tasks:
        scored = [("", task.own), (":foreign", task.foreign)]
        queries = sorted({text for _, asked in scored for text, _ in asked})
        if not queries:
            continue
        place = {text: number for number, text in enumerate(queries)}
        blocks = []
        encoded = [encode(cache.side(part, LONGEST), "query") for part in _parts(queries)]
        for part in _parts(task.documents):
            documents = encode(cache.side(part, LONGEST), "document")
            blocks.append(torch.cat([losses.maxsim(*query, *documents) for query in encoded]))
        scores = torch.cat(blocks, dim=1).numpy()
        for suffix, asked in scored:
            if asked:
                rows = [place[text] for text, _ in asked]
                result[task.name + suffix] = round(gain(scores[rows], [at for _, at in asked]), 4)
    own = [value for name, value in result.items() if ":" not in name]
    foreign = [value for name, value in result.items() if ":" in name]
    return {"own": round(float(np.mean(own)), 4), "foreign": round(float(np.mean(foreign)), 4), **result}


def _parts(texts: Sequence[int]) -> list[Sequence[int]]:
    return [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]


def teacher_encode(side: Side, role: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The teacher's own vectors, for the ceiling that the log starts with."""
    del role
    return side.teacher, side.teacher_mask
