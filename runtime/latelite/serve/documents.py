"""``/api/documents``: reading, listing, and with ``--write`` changing documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from latelite.errors import DuplicateIdError, IndexLockedError, IndexWriteError, UnknownIdError
from latelite.serve.answers import BusyError, JSONAnswer, RequestError
from latelite.serve.facets import PLACES
from latelite.serve.fields import Fields, json_object
from latelite.serve.service import collection_name, service_of

if TYPE_CHECKING:
    from latelite.collection import Collection
    from latelite.results import Document

_LONGEST_ID = 1_000
_MOST_AROUND = 20


async def list_documents(request: Request) -> JSONAnswer:
    """Documents in the order in which they were added."""
    service = service_of(request)
    fields = Fields.of_query_string(request).only(["where", "limit", "offset"])
    where = fields.condition("where", service.limits)
    limit = fields.integer("limit", least=1, most=service.limits.listed, default=20)
    offset = fields.integer("offset", least=0, most=999_999_999, default=0)
    collection = await service.collections.get(collection_name(request))
    return JSONAnswer(await service.reading.run(request, _list, collection, where, limit, offset))


def _list(collection: Collection, where: Mapping[str, Any] | None, limit: int, offset: int) -> dict[str, Any]:
    documents = [plain(each) for each in collection.documents(where=where, limit=limit, offset=offset)]
    return {"documents": documents, "total": collection.count(where=where)}


async def document(request: Request) -> JSONAnswer:
    """One document: read, stored or removed."""
    if request.method == "PUT":
        return await put_document(request)
    if request.method == "DELETE":
        return await delete_document(request)
    return await get_document(request)


async def get_document(request: Request) -> JSONAnswer:
    """One document, on demand with the passages of the same file around it."""
    service = service_of(request)
    fields = Fields.of_query_string(request).only(["around"])
    around = fields.integer("around", least=0, most=_MOST_AROUND, default=0)
    collection = await service.collections.get(collection_name(request))
    return JSONAnswer(await service.reading.run(request, _get, collection, _id(request), around))


def _get(collection: Collection, id: str, around: int) -> dict[str, Any]:
    document = collection.get(stored_id(collection, id))
    answer = plain(document)
    if around:
        before, after = _neighbours(collection, document, around)
        answer |= {"before": [plain(each) for each in before], "after": [plain(each) for each in after]}
    return answer


def _neighbours(collection: Collection, document: Document, around: int) -> tuple[list[Document], list[Document]]:
    """The passages before and after one, of the file that its metadata names by ``path``."""
    path = document.metadata.get("path")
    if not isinstance(path, str):
        return [], []
    passages = sorted(collection.documents(where={"path": path}), key=_place)
    place = next((number for number, each in enumerate(passages) if each.id == document.id), None)
    if place is None:  # changed between the two looks
        return [], []
    return passages[max(0, place - around) : place], passages[place + 1 : place + 1 + around]


def _place(document: Document) -> tuple[float, ...]:
    values = (document.metadata.get(name) for name in PLACES)
    return tuple(value if isinstance(value, int | float) else 0 for value in values)


async def put_document(request: Request) -> JSONAnswer:
    """Store a document under an id; what was there is replaced."""
    service = service_of(request)
    _refuse_unless_writing(request)
    fields = Fields(await json_object(request, service.limits)).only(["id", "text", "metadata"])
    text = fields.text("text", longest=service.limits.body)
    metadata = fields.mapping("metadata")
    id_: int | str = _id(request)
    given = fields.value("id")
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, int | str) or str(given) != id_:
            raise RequestError(400, "id must be the id that the path names, as a string or as an integer.")
        id_ = given
    collection = await service.collections.get(collection_name(request))
    created = await service.writing.run(request, _put, collection, id_, text, metadata)
    return JSONAnswer({"id": id_, "created": created}, 201 if created else 200)


def _put(collection: Collection, id: int | str, text: str, metadata: dict[str, Any]) -> bool:
    created = id not in collection
    with _Storage():
        collection.add([id], [text], [metadata], show_progress_bar=False)
    return created


async def delete_document(request: Request) -> JSONAnswer:
    """Remove a document."""
    service = service_of(request)
    _refuse_unless_writing(request)
    collection = await service.collections.get(collection_name(request))
    removed = await service.writing.run(request, _remove, collection, _id(request))
    return JSONAnswer({"id": removed, "removed": True})


def _remove(collection: Collection, id: str) -> int | str:
    found = stored_id(collection, id)
    with _Storage():
        collection.remove([found])
    return found


class _Storage:
    """Turns what writing can fail with into answers."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, IndexLockedError):
            raise BusyError("Another process is writing to the collection; try again.", retry_after=2) from error
        if isinstance(error, IndexWriteError):
            raise RequestError(507, f"The document could not be stored: {error}") from error
        if isinstance(error, UnknownIdError):
            raise RequestError(404, str(error)) from error
        if isinstance(error, DuplicateIdError | ValueError):
            raise RequestError(400, str(error)) from error


def stored_id(collection: Collection, id: str) -> int | str:
    """The id that a path means: "7" is the text "7" where there is one, else the number 7.

    Raises:
        RequestError: there is no such document.
    """
    if id in collection:
        return id
    number = int(id) if id.isascii() and id.removeprefix("-").isdecimal() and len(id) < 20 else None
    if number is not None and str(number) == id and number in collection:
        return number
    raise RequestError(404, f"There is no document {id[:80]!r}.")


def plain(document: Document) -> dict[str, Any]:
    """A document as JSON."""
    return {"id": document.id, "text": document.text, "metadata": dict(document.metadata)}


def _id(request: Request) -> str:
    id_: str = request.path_params["id"]
    if len(id_) > _LONGEST_ID:
        raise RequestError(400, f"An id may have {_LONGEST_ID} characters at most.")
    return id_


def _refuse_unless_writing(request: Request) -> None:
    if not service_of(request).write:
        raise RequestError(403, "This server only reads; start it with --write and a token to change documents.")
