"""Reranking for other programs, in the shapes that their clients send.

``/v1/rerank`` and ``/v2/rerank`` are Cohere's, the first also Jina's; ``/rerank`` is Hugging Face's TEI, and takes the
others' shape too, as servers do that programs point at with a base address. Scores are the mean over the question's
tokens of the best cosine, from 0 to 1.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from latelite.serve.answers import JSONAnswer, RequestError
from latelite.serve.embeddings import encode
from latelite.serve.fields import Fields, json_object
from latelite.serve.limits import Limits
from latelite.serve.service import service_of

if TYPE_CHECKING:
    from latelite.models import ColBERT


async def rerank_v1(request: Request) -> JSONAnswer:
    """Cohere's first version and Jina's: documents come back unless that is declined."""
    return await _rerank(request, await _fields(request), version="1", with_documents=True)


async def rerank_v2(request: Request) -> JSONAnswer:
    """Cohere's second version: positions and scores."""
    return await _rerank(request, await _fields(request), version="2", with_documents=False)


async def rerank_tei(request: Request) -> JSONAnswer:
    """Text Embeddings Inference: a list of positions and scores."""
    fields = await _fields(request)
    if "texts" not in fields and "documents" in fields:
        return await _rerank(request, fields, version="1", with_documents=True)
    limits = service_of(request).limits
    texts = fields.items("texts", most=limits.texts)
    _refuse_other_than_texts(texts, "texts")
    question = fields.text("query", longest=limits.query)
    raw = fields.truth("raw_scores", default=False)
    with_text = fields.truth("return_text", default=False)
    ranked, tokens = await _order(request, question, texts)
    return JSONAnswer(
        [
            {
                "index": index,
                "score": round(score if raw else _relevance(score, tokens), 6),
                **({"text": texts[index]} if with_text else {}),
            }
            for index, score in ranked
        ]
    )


async def _fields(request: Request) -> Fields:
    return Fields(await json_object(request, service_of(request).limits))


async def _rerank(request: Request, fields: Fields, *, version: str, with_documents: bool) -> JSONAnswer:
    limits = service_of(request).limits
    question = fields.text("query", longest=limits.query)
    texts = _texts(fields, limits)
    if not isinstance(fields.value("model"), str | None):  # any name will do: there is one model
        raise RequestError(400, "model must be a string.")
    top = fields.integer("top_n", least=1, most=1_000_000_000, default=len(texts))
    with_documents = fields.truth("return_documents", default=with_documents)
    ranked, tokens = await _order(request, question, texts)
    results = [
        {
            "index": index,
            "relevance_score": round(_relevance(score, tokens), 6),
            **({"document": {"text": texts[index]}} if with_documents else {}),
        }
        for index, score in ranked[:top]
    ]
    model = await service_of(request).collections.model()
    words = sum(len(text.split()) for text in [question, *texts])
    return JSONAnswer(
        {
            "id": str(uuid.uuid4()),
            "object": "list",
            "model": model.manifest.checkpoint["id"],
            "results": results,
            "usage": {"prompt_tokens": words, "total_tokens": words},
            "meta": {"api_version": {"version": version}, "billed_units": {"search_units": 1}},
        }
    )


def _texts(fields: Fields, limits: Limits) -> list[str]:
    """The documents as texts: strings, or objects of which ``text`` or the fields in ``rank_fields`` count."""
    documents = fields.items("documents", most=limits.texts)
    ranked_by = fields.value("rank_fields")
    if ranked_by is not None and not (isinstance(ranked_by, list) and all(isinstance(f, str) for f in ranked_by)):
        raise RequestError(400, "rank_fields must be a list of strings.")
    texts = []
    for document in documents:
        if isinstance(document, dict):
            names = ranked_by or ["text"]
            values = [document[name] for name in names if document.get(name) is not None]
            if any(
                not isinstance(value, str) and (ranked_by is None or isinstance(value, dict | list)) for value in values
            ):
                raise RequestError(400, f"The fields {', '.join(names)[:200]} of documents must be strings.")
            texts.append("\n".join(map(str, values)))
            if not texts[-1]:
                raise RequestError(400, f"A document in documents has none of the fields {', '.join(names)[:200]}.")
        else:
            texts.append(document)
    _refuse_other_than_texts(texts, "documents")
    return texts


def _refuse_other_than_texts(texts: Sequence[Any], name: str) -> None:
    if any(not isinstance(text, str) for text in texts):
        raise RequestError(400, f"{name} must be a list of strings.")


async def _order(request: Request, question: str, texts: list[str]) -> tuple[list[tuple[int, float]], int]:
    """Positions and MaxSim, best first, and the number of the question's token vectors."""
    service = service_of(request)
    model = await service.collections.model()
    abandoned = threading.Event()
    try:
        return await service.encoding.run(request, _score, model, question, texts, abandoned)
    finally:
        abandoned.set()


def _score(
    model: ColBERT, question: str, texts: list[str], abandoned: threading.Event
) -> tuple[list[tuple[int, float]], int]:
    from latelite.rank import rerank

    (query,) = encode(model, [question], as_queries=True, abandoned=abandoned)
    documents = encode(model, texts, as_queries=False, abandoned=abandoned)
    (ranked,) = rerank([range(len(texts))], [query], [documents])
    return [(int(each["id"]), float(each["score"])) for each in ranked], len(query)


def _relevance(score: float, tokens: int) -> float:
    return min(1.0, max(0.0, score / tokens))
