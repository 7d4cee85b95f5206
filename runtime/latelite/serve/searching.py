"""``/api/search`` and ``/api/facets``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from latelite.serve.answers import JSONAnswer
from latelite.serve.fields import Fields, json_object
from latelite.serve.service import collection_name, service_of

if TYPE_CHECKING:
    from latelite.collection import Collection
    from latelite.results import Hit

MODES = ("hybrid", "semantic", "lexical")
FIELDS = ("q", "k", "mode", "explain", "where")
_K = 10


async def search(request: Request) -> JSONAnswer:
    """The best documents for a question; the fields come in the query string or in a JSON body."""
    service = service_of(request)
    if request.method == "POST":
        fields = Fields(await json_object(request, service.limits))
    else:
        fields = Fields.of_query_string(request)
    fields.only(FIELDS)
    question = fields.text("q", longest=service.limits.query)
    options = {
        "k": fields.integer("k", least=1, most=service.limits.k, default=_K),
        "mode": fields.choice("mode", MODES),
        "explain": fields.truth("explain", default=False),
        "where": fields.condition("where", service.limits),
    }
    collection = await service.collections.get(collection_name(request))
    start = time.perf_counter()
    hits = await service.searching.run(request, _search, collection, question, options)
    return JSONAnswer({"hits": hits, "seconds": round(time.perf_counter() - start, 6)})


def _search(collection: Collection, question: str, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_plain(hit) for hit in collection.search(question, **options)]


def _plain(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id,
        "score": round(hit.score, 6),
        "text": hit.text,
        "metadata": dict(hit.metadata),
        "matches": [
            {"query": match.query, "start": match.start, "end": match.end, "score": round(match.score, 4)}
            for match in hit.matches
        ],
    }


async def facets(request: Request) -> JSONAnswer:
    """Which values the metadata has, and how often, among the documents that a condition keeps."""
    service = service_of(request)
    where = Fields.of_query_string(request).only(["where"]).condition("where", service.limits)
    collection = await service.collections.get(collection_name(request))
    found = await service.reading.run(request, service.facets.count, collection, where)
    return JSONAnswer(found)
