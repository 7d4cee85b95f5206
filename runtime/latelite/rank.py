"""Reranking of given candidates by MaxSim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from latelite.maxsim import maxsim_documents

if TYPE_CHECKING:
    from latelite.models import ColBERT

Vectors = NDArray[np.float32]


class RerankResult(TypedDict):
    """One candidate with its score."""

    id: int | str
    score: float


def rerank(
    documents_ids: Sequence[Sequence[int | str]],
    queries_embeddings: Sequence[Vectors] | Vectors,
    documents_embeddings: Sequence[Sequence[Vectors]],
    device: Any = None,
    *,
    pylate_compat: bool = False,
) -> list[list[RerankResult]]:
    """Rank each query's candidates by MaxSim, best first; ties keep the given order.

    Args:
        documents_ids: for each query, the ids of its candidates.
        queries_embeddings: for each query, (tokens, dim) float32; a single 2-D array is one query.
        documents_embeddings: for each query, one (tokens, dim) float32 array per candidate.
        device: accepted for compatibility with PyLate, without effect.
        pylate_compat: reproduce PyLate's scores. PyLate pads a query's candidates to the longest with zero vectors and
            no mask, so that a negative maximum becomes 0 for all shorter candidates. By default a document is scored
            by its own tokens only.

    Returns:
        For each query, all its candidates with their scores.

    Raises:
        ValueError: the three arguments disagree in length.
        InvalidVectorsError: shapes do not match, or values are not finite.
    """
    if isinstance(queries_embeddings, np.ndarray) and queries_embeddings.ndim == 2:
        queries_embeddings = [queries_embeddings]
    if not len(documents_ids) == len(queries_embeddings) == len(documents_embeddings):
        raise ValueError(
            f"{len(queries_embeddings)} queries need the same number of lists of ids and of documents, "
            f"not {len(documents_ids)} and {len(documents_embeddings)}."
        )
    results = []
    for ids, query, documents in zip(documents_ids, queries_embeddings, documents_embeddings, strict=True):
        if len(ids) != len(documents):
            raise ValueError(f"a query has {len(ids)} candidate ids but {len(documents)} candidate documents.")
        candidates = _pad(documents) if pylate_compat else documents
        scores = maxsim_documents(query, candidates)
        order = np.argsort(-scores, kind="stable")
        results.append([RerankResult(id=ids[i], score=float(scores[i])) for i in order])
    return results


def score_texts(model: ColBERT, query: str, texts: Sequence[str]) -> Vectors:
    """MaxSim of a query with each text, divided by the number of query tokens.

    Returns:
        (texts,) float32: the mean over query tokens of the largest cosine with a token of the text, from -1 to 1 and
        comparable across queries. A text without tokens gets 0.
    """
    encoded = model.encode_query(query)
    documents = model.encode_document(list(texts), show_progress_bar=False) if len(texts) else []
    with_tokens = [number for number, document in enumerate(documents) if len(document)]
    scores = np.zeros(len(texts), np.float32)
    if with_tokens and len(encoded):
        scores[with_tokens] = maxsim_documents(encoded, [documents[n] for n in with_tokens]) / len(encoded)
    return scores


def _pad(documents: Sequence[Vectors]) -> list[Vectors]:
    longest = max((len(document) for document in documents), default=0)
    return [np.pad(document, ((0, longest - len(document)), (0, 0))) for document in documents]
