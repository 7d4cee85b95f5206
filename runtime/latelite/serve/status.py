"""What the server says of itself: health, metrics, collections, its own description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from latelite import __version__
from latelite.serve.answers import JSONAnswer
from latelite.serve.openapi import describe
from latelite.serve.service import service_of

if TYPE_CHECKING:
    from latelite.collection import Collection


async def health(request: Request) -> JSONAnswer:
    """Whether searches are answered: 200 when every collection is open, else 503."""
    collections = service_of(request).collections
    collections.begin()
    states = {name: collections.state(name) for name in collections.names}
    worst = next((state for state in ("failed", "loading") if state in states.values()), "ok")
    headers = {"retry-after": "2"} if worst == "loading" else None
    return JSONAnswer({"status": worst, "version": __version__}, 200 if worst == "ok" else 503, headers)


async def list_collections(request: Request) -> JSONAnswer:
    """The collections that are served, the default one first. Those that are still being opened have no count yet."""
    service = service_of(request)
    service.collections.begin()
    counts = await service.reading.run(request, _counts, service.collections.ready())
    described: list[dict[str, Any]] = [
        {"name": name, "state": service.collections.state(name), "documents": counts.get(name)}
        for name in service.collections.names
    ]
    return JSONAnswer({"collections": described, "write": service.write})


def _counts(collections: dict[str, Collection]) -> dict[str, int]:
    return {name: len(collection) for name, collection in collections.items()}


async def metrics(request: Request) -> Response:
    """Counts and times in Prometheus's text format."""
    service = service_of(request)
    documents = await service.reading.run(request, _counts, service.collections.ready())
    text = service.metrics.render(
        present={lane.name: lane.present for lane in service.lanes},
        refused={lane.name: lane.refused for lane in service.lanes},
        documents=documents,
    )
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def openapi(request: Request) -> JSONAnswer:
    """The description of this API."""
    service = service_of(request)
    return JSONAnswer(describe(service.limits, write=service.write, every=service.access.every))
