"""``/v1/embeddings``: token vectors, as PyLate's server gives them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from starlette.requests import Request

from latelite.serve.answers import JSONAnswer, RequestError
from latelite.serve.fields import Fields, json_object
from latelite.serve.service import service_of

if TYPE_CHECKING:
    from latelite.models import ColBERT, Vectors

_GROUP = 16
"""Texts that are encoded before it is asked again whether somebody still waits."""
_DIGITS = 6
"""Decimals of a vector's value; float32 near 1 has seven."""


async def embeddings(request: Request) -> JSONAnswer:
    """One matrix of token vectors per text; queries unless ``is_query`` is false.

    A single text gives a list of one, where PyLate's server would take each token vector for a text.
    """
    service = service_of(request)
    fields = Fields(await json_object(request, service.limits))
    given = fields.value("input")
    texts = [given] if isinstance(given, str) else fields.items("input", most=service.limits.embedded)
    if any(not isinstance(text, str) for text in texts):
        raise RequestError(400, "input must be a string or a list of strings.")
    as_queries = fields.truth("is_query", default=True)
    model = await service.collections.model()
    name = str(model.manifest.checkpoint["id"])
    asked = fields.value("model")
    # Vectors of another model would fit nothing that the caller has, and nothing would say so.
    if asked is not None and asked not in (name, name.rpartition("/")[2]):
        raise RequestError(400, f"The model {str(asked)[:80]!r} is not served here; the one that is: {name}.")
    abandoned = threading.Event()
    try:
        return await service.encoding.run(request, _answer, model, texts, as_queries, asked or name, abandoned)
    finally:
        abandoned.set()


def _answer(model: ColBERT, texts: list[str], as_queries: bool, name: str, abandoned: threading.Event) -> JSONAnswer:
    """The whole answer, made on the lane's thread: writing a million numbers as JSON takes a second."""
    data = []
    for index, vectors in enumerate(encode(model, texts, as_queries=as_queries, abandoned=abandoned)):
        rounded = [[round(value, _DIGITS) for value in vector] for vector in vectors.tolist()]
        data.append({"object": "embedding", "embedding": rounded, "index": index})
    words = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": words, "total_tokens": words}
    return JSONAnswer({"object": "list", "data": data, "model": name, "usage": usage})


def encode(model: ColBERT, texts: list[str], *, as_queries: bool, abandoned: threading.Event) -> list[Vectors]:
    """Token vectors of texts, given up soon after nobody waits for them any more.

    Raises:
        AbandonedError: nobody does.
    """
    vectors: list[Vectors] = []
    for start in range(0, len(texts), _GROUP):
        if abandoned.is_set():
            raise AbandonedError
        group = texts[start : start + _GROUP]
        vectors += model.encode(group, is_query=as_queries, show_progress_bar=False)
    return vectors


class AbandonedError(Exception):
    """The client went away, or its time is up."""
