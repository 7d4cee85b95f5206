"""What the endpoints share."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from latelite.serve.collections import Collections
from latelite.serve.facets import Facets
from latelite.serve.guard import Access
from latelite.serve.lanes import Lane
from latelite.serve.limits import Limits
from latelite.serve.metrics import Metrics


@dataclass(frozen=True)
class Service:
    """One server."""

    collections: Collections
    limits: Limits
    access: Access
    write: bool
    metrics: Metrics
    facets: Facets
    searching: Lane
    reading: Lane
    """Lists, facets, single documents."""
    encoding: Lane
    """Reranking and embedding, which take all threads of the encoder for one request."""
    writing: Lane

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All queues."""
        return (self.searching, self.reading, self.encoding, self.writing)


def service_of(request: Request) -> Service:
    """The server that a request came to."""
    service: Service = request.app.state.service
    return service


def collection_name(request: Request) -> str | None:
    """The collection that a request's path names, None for the default one."""
    name: str | None = request.path_params.get("name")
    return name
