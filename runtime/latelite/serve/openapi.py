"""The description of the API, by OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from latelite import __version__
from latelite.serve.limits import Limits
from latelite.serve.searching import MODES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_ID: Schema = {"type": ["string", "integer"]}
_OBJECT: Schema = {"type": "object"}
_ERROR = _TEXT | {"description": "One sentence that says what is wrong and what to do."}
_NOT_BLANK = r"\S"
_BODIES = ("Search", "Stored", "Rerank", "TextRerank", "Embed")
"""Schemas of what is sent."""
_TOKEN: list[Schema] = [{"token": []}]

_FAILURES = {
    400: "What was sent cannot be used; the answer says why.",
    401: "The token is missing or wrong.",
    403: "Not allowed from here.",
    404: "There is no such collection or document.",
    408: "The body took too long to arrive.",
    413: "The body is too long.",
    415: "The body is not declared as JSON.",
    422: "The body cannot be read.",
    500: "The server failed; its log says why.",
    503: "Too much to do, or the model is still being loaded; Retry-After says when to come back.",
    507: "The document could not be stored, for example because the disk is full.",
}


def describe(limits: Limits, *, write: bool, every: bool) -> Schema:
    """The document at ``/openapi.json``.

    Args:
        limits: that requests are held to.
        write: whether documents can be changed.
        every: whether every request needs the token, and not only one that writes.
    """
    paths: Schema = {}
    for prefix, named in (("/api", False), ("/api/{name}", True)):
        for path, item in _collection_paths(limits, write=write).items():
            parameters = [_NAME] if named else []
            paths[prefix + path] = {"parameters": [*parameters, *item.pop("parameters", [])], **item}
    paths |= {
        "/api/collections": {"get": _operation("Collections", _reference("Collections"), (401, 403, 503))},
        "/v1/rerank": {"post": _rerank("Rerank, as Cohere's v1 and Jina's clients ask", "Rerank")},
        "/v2/rerank": {"post": _rerank("Rerank, as Cohere's v2 clients ask", "Rerank")},
        "/rerank": {"post": _rerank("Rerank, as Hugging Face's Text Embeddings Inference", "TextRerank")},
        "/v1/embeddings": {
            "post": _posted("Token vectors of texts", "Embed", _reference("Embeddings"), (400, 401, 403, 408))
        },
        "/healthz": {
            "get": {
                "summary": "Whether searches are answered",
                "responses": {
                    "200": _answer("They are.", _reference("Health")),
                    "503": _answer("Not yet, or a collection could not be opened.", _reference("Health")),
                    "400": _answer(_FAILURES[400], _reference("Error")),
                    "403": _answer(_FAILURES[403], _reference("Error")),
                },
                "security": [],
            }
        },
        "/metrics": {
            "get": {
                "summary": "Counts and times, for Prometheus",
                "responses": {
                    "200": {"description": "Metrics.", "content": {"text/plain": {"schema": _TEXT}}},
                    **_failures((400, 401, 403, 503)),
                },
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "latelite",
            "version": __version__,
            "description": "Search, documents and reranking. Offsets count code points.",
        },
        "paths": paths,
        "components": {
            "schemas": _with_nulls(_schemas(limits)),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        **({"security": _TOKEN} if every else {}),
    }


_NAME: Schema = {"name": "name", "in": "path", "required": True, "description": "A collection.", "schema": _TEXT}


def _collection_paths(limits: Limits, *, write: bool) -> Schema:
    failures = (400, 401, 403, 404, 503)
    where = _query("where", _TEXT | {"maxLength": limits.where}, "A condition on metadata, as JSON.")
    found = _reference("Found")
    document: Schema = {
        "parameters": [
            {"name": "id", "in": "path", "required": True, "schema": _TEXT | {"minLength": 1, "maxLength": 1_000}}
        ],
        "get": {
            **_operation("One document", _reference("Document"), failures),
            "parameters": [
                _query(
                    "around",
                    {"type": "integer", "minimum": 0, "maximum": 20, "default": 0},
                    "How many passages of the same file to return before and after this one.",
                )
            ],
        },
    }
    if write:
        changing = (*failures, 408, 413, 415, 507)
        document["put"] = _posted("Store a document", "Stored", _reference("Changed"), changing)
        document["put"]["responses"]["201"] = _answer("It is new.", _reference("Changed"))
        document["put"]["security"] = _TOKEN
        document["delete"] = _operation("Remove a document", _reference("Removed"), (*failures, 507))
        document["delete"]["security"] = _TOKEN
    return {
        "/search": {
            "get": {
                **_operation("Search", found, failures),
                "parameters": [
                    _query(
                        "q",
                        _TEXT | {"minLength": 1, "maxLength": limits.query, "pattern": _NOT_BLANK},
                        "A question, or words, in any language of the model.",
                        required=True,
                    ),
                    _query("k", _hits(limits), "Number of hits."),
                    _query("mode", _mode(), "By meaning and word, by meaning, or by word."),
                    _query("explain", {"type": "boolean", "default": False}, "Whether to return matches."),
                    where,
                ],
            },
            "post": _posted("Search", "Search", found, (*failures, 408, 413, 415)),
        },
        "/facets": {
            "get": {
                **_operation("Values of metadata, and how often they occur", _reference("Facets"), failures),
                "parameters": [where],
            }
        },
        "/documents": {
            "get": {
                **_operation("Documents in the order of their addition", _reference("Documents"), failures),
                "parameters": [
                    where,
                    _query(
                        "limit",
                        {"type": "integer", "minimum": 1, "maximum": limits.listed, "default": 20},
                        "Number of documents.",
                    ),
                    _query(
                        "offset",
                        {"type": "integer", "minimum": 0, "maximum": 999_999_999, "default": 0},
                        "Documents to pass over.",
                    ),
                ],
            }
        },
        "/documents/{id}": document,
    }


def _schemas(limits: Limits) -> Schema:
    document = {"id": _ID, "text": _TEXT, "metadata": _OBJECT}
    texts = {"type": "array", "minItems": 1, "maxItems": limits.texts}
    query = _TEXT | {"minLength": 1, "maxLength": limits.query, "pattern": _NOT_BLANK}
    match = _all({"query": _TEXT, "start": _COUNT, "end": _COUNT, "score": _NUMBER})
    hit = _all({"id": _ID, "score": _NUMBER, "text": _TEXT, "metadata": _OBJECT, "matches": _list(match)})
    value = _all({"value": {"type": ["string", "number", "boolean"]}, "count": _COUNT})
    facet = _all({"field": _TEXT, "many": {"type": "boolean"}, "values": _list(value)})
    result = _all({"index": _COUNT, "relevance_score": _NUMBER, "document": _OBJECT}, optional=("document",))
    ranked = _all({"index": _COUNT, "score": _NUMBER, "text": _TEXT}, optional=("text",))
    reranked = _all({"id": _TEXT, "model": _TEXT, "results": _list(result), "usage": _OBJECT, "meta": _OBJECT})
    return {
        "Error": _all({"error": _ERROR, "message": _ERROR, "status": {"type": "integer"}}),
        "Health": _all({"status": {"enum": ["ok", "loading", "failed"]}, "version": _TEXT}),
        "Collections": _all(
            {
                "collections": _list(
                    _all({"name": _TEXT, "state": _TEXT, "documents": {"type": ["integer", "null"], "minimum": 0}})
                ),
                "write": {"type": "boolean"},
            }
        ),
        "Search": {
            "type": "object",
            "properties": {
                "q": query,
                "k": _hits(limits),
                "mode": _mode(),
                "explain": {"type": "boolean", "default": False},
                "where": _OBJECT,
            },
            "required": ["q"],
            "additionalProperties": False,
        },
        "Found": _all({"hits": _list(hit), "seconds": _NUMBER}),
        "Facets": _all({"documents": _COUNT, "complete": {"type": "boolean"}, "facets": _list(facet)}),
        "Document": _all({**document, "before": _list(_OBJECT), "after": _list(_OBJECT)}, optional=("before", "after")),
        "Documents": _all({"documents": _list(_all(document)), "total": _COUNT}),
        "Stored": {
            "type": "object",
            "properties": {"id": _ID, "text": query | {"maxLength": limits.body}, "metadata": _OBJECT},
            "required": ["text"],
            "additionalProperties": False,
        },
        "Changed": _all({"id": _ID, "created": {"type": "boolean"}}),
        "Removed": _all({"id": _ID, "removed": {"type": "boolean"}}),
        "Rerank": {
            "type": "object",
            "properties": {
                "model": _TEXT,
                "query": query,
                "documents": texts
                | {
                    "items": {
                        "anyOf": [
                            _TEXT,
                            {
                                "type": "object",
                                "properties": {"text": _TEXT | {"minLength": 1}},
                                "required": ["text"],
                            },
                        ]
                    }
                },
                "top_n": {"type": "integer", "minimum": 1, "maximum": 1_000_000_000},
                "return_documents": {"type": "boolean"},
            },
            "required": ["query", "documents"],
        },
        "Reranked": reranked,
        "TextRerank": {
            "type": "object",
            "properties": {
                "query": query,
                "texts": texts | {"items": _TEXT},
                "raw_scores": {"type": "boolean", "default": False},
                "return_text": {"type": "boolean", "default": False},
            },
            "required": ["query", "texts"],
        },
        "TextReranked": {"anyOf": [_list(ranked), _reference("Reranked")]},
        "Embed": {
            "type": "object",
            "properties": {
                "input": {
                    "anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": limits.embedded}]
                },
                "model": {"type": "string", "description": "Refused when it is not the one that is served."},
                "is_query": {"type": "boolean", "default": True},
            },
            "required": ["input"],
        },
        "Embeddings": _all({"data": _list(_OBJECT), "model": _TEXT, "usage": _OBJECT}),
    }


def _with_nulls(schemas: Schema) -> Schema:
    """The schemas, with null allowed for what a request may leave out: clients write fields that they do not set so."""
    for name in _BODIES:
        schema = schemas[name]
        for field, each in schema["properties"].items():
            if field not in schema["required"]:
                schema["properties"][field] = {"anyOf": [each, {"type": "null"}]}
    return schemas


def _operation(summary: str, schema: Schema, failures: tuple[int, ...]) -> Schema:
    return {"summary": summary, "responses": {"200": _answer("Done.", schema), **_failures(failures)}}


def _posted(summary: str, body: str, schema: Schema, failures: tuple[int, ...]) -> Schema:
    content = {"application/json": {"schema": _reference(body)}}
    failures = tuple(sorted({*failures, 400, 408, 413, 415, 503}))
    return {**_operation(summary, schema, failures), "requestBody": {"required": True, "content": content}}


def _rerank(summary: str, body: str) -> Schema:
    answer = "TextReranked" if body == "TextRerank" else "Reranked"
    return _posted(summary, body, _reference(answer), (401, 403))


def _failures(statuses: tuple[int, ...]) -> Schema:
    return {str(status): _answer(_FAILURES[status], _reference("Error")) for status in statuses}


def _answer(text: str, schema: Schema) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _query(name: str, schema: Schema, text: str, *, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "description": text, "schema": schema}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _all(properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
    """An object that has all these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _hits(limits: Limits) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": limits.k, "default": 10}


def _mode() -> Schema:
    return {"type": "string", "enum": list(MODES), "default": MODES[0]}
