"""Held-out quality during training: nDCG@10 on pages that are not trained on, by source and language.

Each document is searched with its first query and, if it has one, with a query in another language.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recipe import losses
from recipe.examples import Document
from recipe.student import LONGEST_QUERY, Student

CANDIDATES = 100
"""Number of held-out documents searched per source and language."""
FEWEST = 20
LONGEST = 160
BATCH = 25
CUTOFF = 10


@dataclass(frozen=True)
class Task:
    """Queries over one source's documents in one language, each with the index of its document."""

    name: str
    documents: tuple[str, ...]
    own: tuple[tuple[str, int], ...]
    foreign: tuple[tuple[str, int], ...]


def build_tasks(documents: Iterable[Document]) -> list[Task]:
    """One task for each source and language with enough held-out pages; one document per page."""
    groups: dict[tuple[str, str], dict[str, Document]] = defaultdict(dict)
    for document in documents:
        if document.held_out and (document.queries or document.foreign):
            asked = document.queries[0] if document.queries else document.key
            groups[document.source, document.language].setdefault(asked, document)
    tasks = []
    for (source, language), found in sorted(groups.items()):
        chosen = list(found.values())[:CANDIDATES]
        if len(chosen) >= FEWEST:
            own = tuple((one.queries[0], place) for place, one in enumerate(chosen) if one.queries)
            foreign = tuple((one.foreign[0][1], place) for place, one in enumerate(chosen) if one.foreign)
            tasks.append(Task(f"{source}-{language}", tuple(one.text for one in chosen), own, foreign))
    return tasks


def gain(scores: NDArray[np.float32], relevant: Sequence[int]) -> float:
    """Mean nDCG@10 with one relevant document per query; tied documents rank before it."""
    own = scores[np.arange(len(scores)), relevant]
    rank = (scores >= own[:, None]).sum(axis=1)
    return float(np.where(rank <= CUTOFF, 1 / np.log2(rank + 1), 0).mean())


@torch.inference_mode()
def measure(tasks: Sequence[Task], student: Student) -> dict[str, float]:
    """nDCG@10 by task, separately for queries in the document's and in another language, and their means."""
    result: dict[str, float] = {}
    for task in tasks:
        documents = [
            student.encode("document", student.ids("document", part, LONGEST)[0]) for part in _parts(task.documents)
        ]
        for suffix, asked in (("", task.own), (":foreign", task.foreign)):
            if asked:
                rows, _ = student.ids("query", [text for text, _ in asked], LONGEST_QUERY)
                queries = student.encode("query", rows)
                scores = torch.cat([losses.maxsim(*queries, *part) for part in documents], dim=1)
                result[task.name + suffix] = round(gain(scores.cpu().numpy(), [at for _, at in asked]), 4)
    own = [value for name, value in result.items() if not name.endswith(":foreign")]
    foreign = [value for name, value in result.items() if name.endswith(":foreign")]
    return {
        name: round(float(np.mean(values)), 4) if values else 0.0
        for name, values in (("own", own), ("foreign", foreign))
    } | result


def _parts(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
