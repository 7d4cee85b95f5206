"""The application: which path is answered by what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route

from latelite.cpus import usable_cpus
from latelite.errors import FilterError, UnknownIdError
from latelite.serve import documents, embeddings, pages, reranking, searching, status
from latelite.serve.answers import JSONAnswer, RequestError, error_answer, phrase
from latelite.serve.collections import Collections
from latelite.serve.facets import Facets
from latelite.serve.guard import Access, Guard
from latelite.serve.lanes import Lane
from latelite.serve.limits import Limits
from latelite.serve.metrics import Metrics
from latelite.serve.service import Service

if TYPE_CHECKING:
    from latelite.manifest import Precision

RESERVED = ("search", "documents", "facets", "collections")
"""Names that a collection cannot have, since paths begin with them."""


def create_app(
    folders: Mapping[str, Path],
    *,
    access: Access | None = None,
    write: bool = False,
    limits: Limits | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
) -> Starlette:
    """An ASGI application that serves collections.

    They are opened in the background, once the application has started or the first request needs them.

    Args:
        folders: of collections, by the name that paths use; the first is the default.
        access: who may ask, by default programs on this machine.
        write: whether documents can be changed, by requests with the token.
        limits: of requests.
        precision: which graph encodes, None for the one that suits this CPU.
        threads: CPU threads for encoding; default: all usable.

    Raises:
        ValueError: there is no collection, a name cannot be used, or writing is not guarded by a token.
    """
    if not folders:
        raise ValueError("there is no collection to serve.")
    for name in folders:
        if name in RESERVED or not name or "/" in name:
            raise ValueError(f"a collection cannot be served as {name!r}; give another name: NAME=FOLDER.")
    access = access or Access()
    if write and access.token is None:
        raise ValueError("writing needs a token.")
    limits = limits or Limits()

    def lane(name: str, threads: int, seconds: float) -> Lane:
        return Lane(name, threads=threads, waiting=limits.waiting, seconds=seconds)

    service = Service(
        collections=Collections(folders, write=write, precision=precision, threads=threads, seconds=limits.seconds),
        limits=limits,
        access=access,
        write=write,
        metrics=Metrics(),
        facets=Facets(),
        searching=lane("search", threads or usable_cpus(), limits.seconds),
        reading=lane("read", 1, limits.seconds),
        encoding=lane("encode", 1, limits.encoding_seconds),
        writing=lane("write", 1, limits.encoding_seconds),
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.collections.begin()
        yield
        for lane in service.lanes:
            lane.close()
        service.collections.close()

    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Guard, access=access, count=service.metrics.count)],
        exception_handlers={
            RequestError: _request_error,
            HTTPException: _http_error,
            FilterError: _wrong_condition,
            UnknownIdError: _unknown_id,  # removed by a writer between two looks
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    app.state.page = pages.read_page()
    return app


def _routes() -> list[Route]:
    routes = [
        Route("/", pages.page, methods=["GET"]),
        Route("/page/{file}", pages.page, methods=["GET"]),
        Route("/healthz", status.health, methods=["GET"]),
        Route("/metrics", status.metrics, methods=["GET"]),
        Route("/openapi.json", status.openapi, methods=["GET"]),
        Route("/api/collections", status.list_collections, methods=["GET"]),
        Route("/v1/rerank", reranking.rerank_v1, methods=["POST"]),
        Route("/v2/rerank", reranking.rerank_v2, methods=["POST"]),
        Route("/rerank", reranking.rerank_tei, methods=["POST"]),
        Route("/v1/embeddings", embeddings.embeddings, methods=["POST"]),
    ]
    for prefix in ("/api", "/api/{name}"):
        routes += [
            Route(f"{prefix}/search", searching.search, methods=["GET", "POST"]),
            Route(f"{prefix}/facets", searching.facets, methods=["GET"]),
            Route(f"{prefix}/documents", documents.list_documents, methods=["GET"]),
            Route(f"{prefix}/documents/{{id:path}}", documents.document, methods=["GET", "PUT", "DELETE"]),
        ]
    return routes


async def _wrong_condition(_: Request, error: Exception) -> JSONAnswer:
    return error_answer(RequestError(400, f"where: {error}"))


async def _unknown_id(_: Request, error: Exception) -> JSONAnswer:
    return error_answer(RequestError(404, str(error)))


async def _request_error(_: Request, error: Exception) -> JSONAnswer:
    assert isinstance(error, RequestError)
    return error_answer(error)


async def _http_error(_: Request, error: Exception) -> JSONAnswer:
    assert isinstance(error, HTTPException)
    sentence = error.detail if error.detail.endswith(".") else phrase(error.status_code)
    return error_answer(RequestError(error.status_code, sentence, error.headers))
