"""The search page: a few files of the package, held in memory. No path of a request ever reaches the file system."""

from __future__ import annotations

import hashlib
import importlib.resources
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from latelite.serve.answers import RequestError

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class PageFile:
    """One file of the page."""

    content: bytes
    media_type: str
    etag: str


def read_page() -> dict[str, PageFile]:
    """The page's files by name."""
    files = {}
    for file in importlib.resources.files("latelite.serve").joinpath("page").iterdir():
        suffix = file.name.rpartition(".")[2]
        if suffix in _TYPES:
            content = file.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            files[file.name] = PageFile(content, _TYPES[suffix], etag)
    return files


async def page(request: Request) -> Response:
    """A file of the page; the page itself when no name is given."""
    name = request.path_params.get("file", "index.html")
    file: PageFile | None = request.app.state.page.get(name)
    if file is None:
        raise RequestError(404, "There is no such file.")
    headers = {"etag": file.etag, "cache-control": "no-cache"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
