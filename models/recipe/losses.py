"""The student's losses: the teacher's ranking, the query-document pairs, and the teacher's token vectors.

Scores are MaxSim averaged over the query's tokens, so that long and short queries have the same weight; divided by a
temperature, they are logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

TEACHER_TEMPERATURE = 0.01
"""Fitted on training pairs: minimises the cross-entropy of the teacher's softmax over in-batch documents."""
STUDENT_TEMPERATURE = 0.02
TRUSTED = 0.01
"""A document that the teacher scores this much above the pair's own is not a negative: it may answer the query, too."""
HIDDEN = -1e4


@dataclass(frozen=True)
class Weights:
    """Weights of the loss terms."""

    ranking: float
    pairs: float
    tokens: float = 0.0


def maxsim(
    queries: torch.Tensor, query_mask: torch.Tensor, documents: torch.Tensor, document_mask: torch.Tensor
) -> torch.Tensor:
    """Mean over a query's tokens of the largest cosine with a document token, ``(queries, documents)``.

    Vectors are ``(texts, tokens, dim)``, normalised; masks ``(texts, tokens)`` are true for tokens, false for padding.
    """
    count, tokens, dim = documents.shape
    owner = torch.arange(len(queries), device=queries.device)[:, None].expand(query_mask.shape)[query_mask]
    cosines = (queries[query_mask] @ documents.reshape(-1, dim).T).reshape(len(owner), count, tokens)
    best = (cosines + torch.where(document_mask, 0.0, HIDDEN)).amax(dim=2)
    sums = torch.zeros(len(queries), count, device=queries.device).index_add(0, owner, best)
    return sums / query_mask.sum(dim=1, keepdim=True)


def ranking(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence from the teacher's distribution over documents to the student's."""
    return torch.nn.functional.kl_div(
        torch.log_softmax(student / STUDENT_TEMPERATURE, dim=1),
        torch.log_softmax(teacher / TEACHER_TEMPERATURE, dim=1),
        log_target=True,
        reduction="batchmean",
    )


def pairs(student: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each query's own document, against the documents that do not answer it.

    ``answers`` ``(queries, documents)`` is true for documents that are not negatives; it may include the query's own.
    """
    own = torch.eye(len(student), dtype=torch.bool, device=student.device)
    logits = (student / STUDENT_TEMPERATURE).masked_fill(answers & ~own, HIDDEN)
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(logits), device=student.device))


def preferred(teacher: torch.Tensor) -> torch.Tensor:
    """Mask of the documents that the teacher scores clearly above the query's own, ``(queries, documents)``."""
    return teacher > torch.diagonal(teacher)[:, None] + TRUSTED


def tokens(student: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean cosine distance of aligned token vectors; zero if there are none."""
    distance = 1 - (student * target).sum(dim=-1)
    return (distance * mask).sum() / mask.sum().clamp(min=1)
