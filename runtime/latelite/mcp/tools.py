"""What assistants may do with a collection: search it, read a document, see what it was made from."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latelite.errors import LateliteError

if TYPE_CHECKING:
    from latelite.collection import Collection

MODES = ("hybrid", "semantic", "lexical")
EXCERPT = 2_000
"""Characters of a text that `search` shows at most; `get` reads on."""
PAGE = 20_000
"""Characters of a text that `get` returns at most, so that one document does not fill an assistant's context."""
_MOST_HITS = 50
_LONGEST_QUERY = 4_000

_ID = {"type": ["string", "integer"], "description": "id of a document, as `search` returns it"}
_READ_ONLY = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
_DOCUMENT = {
    "id": {"type": ["string", "integer"]},
    "text": {"type": "string"},
    "metadata": {"type": "object"},
}

_SOURCE = ("location", "kind", "label", "files", "passages", "last_run")
"""What `list_sources` tells of each."""

_TOOLS: list[dict[str, Any]] = [
    {
        "name": "search",
        "title": "Search the collection",
        "description": "Find the passages that answer a question, by meaning and by word. The question may be in "
        "another language than the texts. Returns the best passages with their ids, scores and metadata; texts longer "
        f"than {EXCERPT} characters are cut, `get` returns them whole.",
        "annotations": _READ_ONLY,
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "a question, or words", "maxLength": _LONGEST_QUERY},
                "k": {
                    "type": "integer",
                    "description": "number of passages",
                    "minimum": 1,
                    "maximum": _MOST_HITS,
                    "default": 5,
                },
                "where": {
                    "type": "object",
                    "description": 'condition on metadata, for example {"year": {"$gte": 2020}, "lang": "de"}; '
                    "operators $eq $ne $gt $gte $lt $lte $in $nin $contains $exists $and $or $not",
                },
                "mode": {
                    "type": "string",
                    "enum": list(MODES),
                    "description": "by meaning and word together (hybrid), by meaning alone (semantic), or by word "
                    "alone (lexical: exact names, numbers, codes)",
                    "default": "hybrid",
                },
            },
            "required": ["query"],
            "additionalProperties": False,
        },
        "outputSchema": {
            "type": "object",
            "properties": {
                "hits": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {**_DOCUMENT, "score": {"type": "number"}, "cut": {"type": "boolean"}},
                        "required": ["id", "score", "text", "metadata", "cut"],
                    },
                }
            },
            "required": ["hits"],
        },
    },
    {
        "name": "get",
        "title": "Read a document",
        "description": f"Return the text of one document, {PAGE} characters at a time.",
        "annotations": _READ_ONLY,
        "inputSchema": {
            "type": "object",
            "properties": {
                "id": _ID,
                "start": {"type": "integer", "minimum": 0, "default": 0, "description": "first character"},
            },
            "required": ["id"],
            "additionalProperties": False,
        },
        "outputSchema": {
            "type": "object",
            "properties": {**_DOCUMENT, "start": {"type": "integer"}, "length": {"type": "integer"}},
            "required": ["id", "text", "metadata", "start", "length"],
        },
    },
    {
        "name": "list_sources",
        "title": "List the sources",
        "description": "List the folders and files that the collection was made from, each with how many files and "
        "passages it has and when it was last indexed. The metadata field `path` of its passages begins with `label`.",
        "annotations": _READ_ONLY,
        "inputSchema": {"type": "object", "properties": {}, "additionalProperties": False},
        "outputSchema": {
            "type": "object",
            "properties": {
                "documents": {"type": "integer", "description": "all that can be found, from files or not"},
                "sources": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "location": {"type": "string"},
                            "kind": {"type": "string"},
                            "label": {"type": "string"},
                            "files": {"type": "integer"},
                            "passages": {"type": "integer"},
                            "last_run": {"type": ["string", "null"]},
                        },
                        "required": list(_SOURCE),
                    },
                },
            },
            "required": ["documents", "sources"],
        },
    },
]


class ArgumentError(ValueError):
    """A tool was called with arguments that it does not take."""


class CollectionTools:
    """The tools on one collection, which is opened on a thread of its own when `begin` is called.

    Args:
        folder: of the collection; opened for reading only.
        threads: CPU threads for encoding; default: all usable.
    """

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        self.instructions = (
            f"Searches the local collection {folder.name!r}. Nothing leaves this computer. Start with `search`; ask in "
            "whole questions; use `get` to read on, and `list_sources` to see what there is."
        )
        self._folder = folder
        self._threads = threads
        self._opening = threading.Thread(target=self._open, name="latelite-open", daemon=True)
        self._begun = threading.Lock()
        self._collection: Collection | None = None
        self._error: Exception | None = None
        self._calls: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "search": self._search,
            "get": self._get,
            "list_sources": self._list_sources,
        }

    def begin(self) -> None:
        """Start to load the collection and its model; returns at once."""
        if self._begun.acquire(blocking=False):
            self._opening.start()

    def describe(self) -> list[dict[str, Any]]:
        """Name, description and schemas of every tool."""
        return _TOOLS

    def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of one call; what is wrong with it stands in the result, where the assistant can read it.

        Raises:
            KeyError: there is no such tool.
        """
        run = self._calls[name]
        try:
            result = run(dict(arguments))
        except (LateliteError, ArgumentError, OSError, ValueError) as error:
            return {"content": [{"type": "text", "text": str(error)}], "isError": True}
        text = json.dumps(result, ensure_ascii=False, allow_nan=False)
        return {"content": [{"type": "text", "text": text}], "structuredContent": result, "isError": False}

    def close(self) -> None:
        """Let go of the collection's files."""
        if not self._begun.acquire(blocking=False):
            self._opening.join()
        if self._collection is not None:
            self._collection.close()

    def _open(self) -> None:
        from latelite.collection import Collection

        try:
            self._collection = Collection(self._folder, threads=self._threads, read_only=True)
        except Exception as error:  # noqa: BLE001  (it is raised in the calls that wait for this)
            self._error = error

    @property
    def _opened(self) -> Collection:
        self.begin()
        self._opening.join()
        if self._error is not None:
            raise self._error
        assert self._collection is not None
        return self._collection

    def _search(self, arguments: dict[str, Any]) -> dict[str, Any]:
        query = _take(arguments, "query", str)
        k = _take(arguments, "k", int, 5)
        where = _take(arguments, "where", dict, None)
        mode = _take(arguments, "mode", str, MODES[0])
        _refuse(arguments)
        if not query.strip() or len(query) > _LONGEST_QUERY:
            raise ArgumentError(f"query must have between 1 and {_LONGEST_QUERY} characters.")
        if not 1 <= k <= _MOST_HITS:
            raise ArgumentError(f"k must be between 1 and {_MOST_HITS}, not {k}.")
        if mode not in MODES:
            raise ArgumentError(f"mode must be one of {', '.join(MODES)}, not {mode!r}.")
        hits = self._opened.search(query, k=k, where=where, mode=mode)
        return {
            "hits": [
                {
                    "id": hit.id,
                    "score": round(hit.score, 4),
                    "text": hit.text[:EXCERPT],
                    "metadata": dict(hit.metadata),
                    "cut": len(hit.text) > EXCERPT,
                }
                for hit in hits
            ]
        }

    def _get(self, arguments: dict[str, Any]) -> dict[str, Any]:
        id_ = _take(arguments, "id", int | str)
        start = _take(arguments, "start", int, 0)
        _refuse(arguments)
        if start < 0:
            raise ArgumentError(f"start must be at least 0, not {start}.")
        document = find_document(self._opened, id_)
        return {
            "id": document.id,
            "text": document.text[start : start + PAGE],
            "metadata": dict(document.metadata),
            "start": start,
            "length": len(document.text),
        }

    def _list_sources(self, arguments: dict[str, Any]) -> dict[str, Any]:
        from latelite.sources.adding import described_sources

        _refuse(arguments)
        collection = self._opened
        sources = [{name: each[name] for name in _SOURCE} for each in described_sources(collection)]
        return {"documents": len(collection), "sources": sources}


def find_document(collection: Collection, id: int | str) -> Any:
    """A document by an id that may have lost its type on the way: "7" also finds 7, unless there is a "7".

    Raises:
        UnknownIdError: there is no such document.
    """
    if isinstance(id, str) and id not in collection and _is_integer(id) and int(id) in collection:
        return collection.get(int(id))
    return collection.get(id)


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 20


def _take(arguments: dict[str, Any], name: str, kind: Any, *default: Any) -> Any:
    value = arguments.pop(name, None)
    if value is None:
        if default:
            return default[0]
        raise ArgumentError(f"{name} is missing.")
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ArgumentError(f"{name} must be {_NAMES[kind]}, not {json.dumps(value)[:80]}.")
    return value


_NAMES: dict[Any, str] = {
    str: "a string",
    int: "an integer",
    dict: "an object",
    int | str: "a string or an integer",
}


def _refuse(arguments: dict[str, Any]) -> None:
    if arguments:
        raise ArgumentError(f"{next(iter(arguments))!r} is not an argument of this tool.")
