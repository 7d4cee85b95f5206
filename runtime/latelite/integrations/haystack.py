"""Haystack: a collection as a document store, a retriever over it, and a ranker.

```python
from haystack import Document, Pipeline
from latelite.integrations.haystack import LateliteDocumentStore, LateliteRetriever

store = LateliteDocumentStore("notes.lt")
store.write_documents([Document(content="The night train leaves at seven.", meta={"topic": "travel"})])
pipeline = Pipeline()
pipeline.add_component("retriever", LateliteRetriever(store, top_k=3))
pipeline.run({"retriever": {"query": "Wann fährt der Zug?"}})
```

A pipeline that was written to a file is loaded with ``allowed_modules=["latelite.integrations.haystack"]``.

``meta`` becomes the document's metadata; what else a Haystack `Document` carries (an embedding, a blob) is kept under
one reserved key, so that a document comes back as it was written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from latelite.collection import Collection
from latelite.integrations import missing
from latelite.models import ColBERT
from latelite.rank import score_texts

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.document_stores.errors import DuplicateDocumentError
    from haystack.document_stores.types import DuplicatePolicy
    from haystack.errors import FilterError
    from haystack.utils.filters import document_matches_filter
except ImportError as error:
    raise missing("haystack-ai", "haystack", error) from error

REST = "_haystack"
"""Reserved metadata key: the fields of a Haystack document beside id, content and meta."""


class LateliteDocumentStore:
    """A collection as Haystack's document store. The collection encodes; embeddings are kept, but not searched.

    Filters are Haystack's own and are evaluated as Haystack does, document by document: unlike the filters of
    `latelite.Collection.search` they use no index on metadata. One store may be used from several threads.
    """

    def __init__(self, folder: str, model: str | None = None, *, index: str | None = None) -> None:
        """Open or create the collection in ``folder``, see `latelite.Collection`."""
        self.folder, self.model_folder, self.index = str(folder), model, index
        self.collection = Collection(folder, model, index=index)

    def to_dict(self) -> dict[str, Any]:
        """The store's parameters, for a pipeline that is written to a file."""
        parameters = {"folder": self.folder, "model": self.model_folder, "index": self.index}
        return dict(default_to_dict(self, **parameters))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LateliteDocumentStore:
        """The store that `to_dict` described."""
        store: LateliteDocumentStore = default_from_dict(cls, data)
        return store

    def count_documents(self) -> int:
        """Documents in the collection."""
        return len(self.collection)

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """The documents that match, all without ``filters``, in the order in which they were written.

        Raises:
            FilterError: the filter is malformed.
        """
        return list(self._matching(filters))

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Write documents; returns how many. NONE means FAIL.

        Raises:
            ValueError: ``documents`` is not a list of Haystack documents.
            DuplicateDocumentError: with FAIL, an id is there already or occurs twice; nothing was written.
        """
        if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
            raise ValueError("documents must be a list of haystack.Document.")
        chosen: dict[str, Document] = {}
        for document in documents:
            if document.id in chosen or document.id in self.collection:
                if policy == DuplicatePolicy.SKIP:
                    continue
                if policy != DuplicatePolicy.OVERWRITE:
                    raise DuplicateDocumentError(f"ID '{document.id}' already exists.")
            chosen[document.id] = document
        self.collection.add(
            list(chosen), [d.content or "" for d in chosen.values()], [_metadata(d) for d in chosen.values()]
        )
        return len(documents) if policy == DuplicatePolicy.OVERWRITE else len(chosen)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents; ids that are not there are passed over."""
        if gone := [id_ for id_ in dict.fromkeys(document_ids) if id_ in self.collection]:
            self.collection.remove(gone)

    def delete_all_documents(self, recreate_index: bool = False) -> None:
        """Delete every document.

        Args:
            recreate_index: also rewrite the collection, so that what was deleted is gone from the disk.
        """
        if ids := list(self.collection.ids):
            self.collection.remove(ids)
        if recreate_index:
            self.collection.compact()

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Delete the documents that match; returns how many."""
        gone = [document.id for document in self._matching(filters)]
        self.delete_documents(gone)
        return len(gone)

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Set fields of ``meta`` in every document that matches, without encoding it again; returns how many."""
        changed = list(self._matching(filters))
        if changed:
            fields = [_metadata(document) | meta for document in changed]
            self.collection.update_metadata([document.id for document in changed], fields)
        return len(changed)

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """How many documents match."""
        return sum(1 for _ in self._matching(filters))

    async def count_documents_async(self) -> int:
        """As `count_documents`, in a thread."""
        return await asyncio.to_thread(self.count_documents)

    async def filter_documents_async(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """As `filter_documents`, in a thread."""
        return await asyncio.to_thread(self.filter_documents, filters)

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """As `write_documents`, in a thread."""
        return await asyncio.to_thread(self.write_documents, documents, policy)

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """As `delete_documents`, in a thread."""
        await asyncio.to_thread(self.delete_documents, document_ids)

    async def delete_all_documents_async(self, recreate_index: bool = False) -> None:
        """As `delete_all_documents`, in a thread."""
        await asyncio.to_thread(self.delete_all_documents, recreate_index)

    async def delete_by_filter_async(self, filters: dict[str, Any]) -> int:
        """As `delete_by_filter`, in a thread."""
        return await asyncio.to_thread(self.delete_by_filter, filters)

    async def update_by_filter_async(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """As `update_by_filter`, in a thread."""
        return await asyncio.to_thread(self.update_by_filter, filters, meta)

    async def count_documents_by_filter_async(self, filters: dict[str, Any]) -> int:
        """As `count_documents_by_filter`, in a thread."""
        return await asyncio.to_thread(self.count_documents_by_filter, filters)

    def search(
        self, query: str, top_k: int, filters: dict[str, Any] | None = None, mode: str = "hybrid"
    ) -> list[Document]:
        """The best ``top_k`` documents with their scores; `LateliteRetriever` calls this."""
        hits = self.collection.search(query, k=top_k, where=_where(filters), mode=mode)  # type: ignore[arg-type]
        return [_document(hit.id, hit.text, hit.metadata, hit.score) for hit in hits]

    def _matching(self, filters: dict[str, Any] | None) -> Iterator[Document]:
        accepts = _condition(filters)
        for stored in self.collection:
            document = _document(stored.id, stored.text, stored.metadata)
            if accepts is None or accepts(document):
                yield document


@component
class LateliteRetriever:
    """Searches a `LateliteDocumentStore`: Haystack's text retriever. May be used from several threads."""

    def __init__(
        self,
        document_store: LateliteDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        mode: str = "hybrid",
    ) -> None:
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.mode = mode

    def to_dict(self) -> dict[str, Any]:
        """The parameters, those of the store included."""
        store = self.document_store.to_dict()
        return dict(default_to_dict(self, document_store=store, filters=self.filters, top_k=self.top_k, mode=self.mode))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LateliteRetriever:
        """The retriever that `to_dict` described."""
        parameters = data["init_parameters"]
        if not isinstance(parameters["document_store"], LateliteDocumentStore):
            store = LateliteDocumentStore.from_dict(parameters["document_store"])
            data = data | {"init_parameters": parameters | {"document_store": store}}
        retriever: LateliteRetriever = default_from_dict(cls, data)
        return retriever

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """The best documents; ``filters`` and ``top_k`` override the constructor's."""
        chosen = self.filters if filters is None else filters
        wanted = self.top_k if top_k is None else top_k
        return {"documents": self.document_store.search(query, wanted, chosen, self.mode)}


@component
class LateliteRanker:
    """Orders documents by MaxSim with the query, whoever found them. May be used from several threads."""

    def __init__(self, model: str, top_k: int | None = None) -> None:
        """Args: model: bundle folder. top_k: documents to keep; None keeps all."""
        self.model = model
        self.top_k = top_k
        self._encoder: ColBERT | None = None

    def to_dict(self) -> dict[str, Any]:
        """The parameters."""
        return dict(default_to_dict(self, model=self.model, top_k=self.top_k))

    def warm_up(self) -> None:
        """Load the model; `run` does so by itself."""
        self._encoder = self._encoder or ColBERT(self.model)

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, list[Document]]:
        """Copies of the best documents, best first, each with its score between 0 and 1."""
        self.warm_up()
        assert self._encoder is not None
        scores = score_texts(self._encoder, query, [document.content or "" for document in documents])
        wanted = self.top_k if top_k is None else top_k
        order = sorted(range(len(documents)), key=lambda n: -scores[n])[:wanted]
        ranked = [Document.from_dict(documents[n].to_dict() | {"score": float(scores[n])}) for n in order]
        return {"documents": ranked}


def _condition(filters: dict[str, Any] | None) -> Callable[[Document], bool] | None:
    """Raises FilterError when the filter is malformed, even if there is nothing to compare it with."""
    if not filters:
        return None
    if "operator" not in filters and "conditions" not in filters:
        raise FilterError("Invalid filter syntax. See https://docs.haystack.deepset.ai/docs/metadata-filtering")
    return lambda document: bool(document_matches_filter(filters, document))


def _where(filters: dict[str, Any] | None) -> Callable[[Mapping[str, Any]], bool] | None:
    accepts = _condition(filters)
    if accepts is None:
        return None
    return lambda metadata: accepts(_document("", "", metadata))


def _metadata(document: Document) -> dict[str, Any]:
    written = document.to_dict(flatten=False)
    meta = written.pop("meta") or {}
    rest = {key: value for key, value in written.items() if key not in ("id", "content", "score") and value is not None}
    if document.content is None:
        rest["content"] = None
    return meta | ({REST: rest} if rest else {})


def _document(id: int | str, text: str, metadata: Mapping[str, Any], score: float | None = None) -> Document:
    meta = dict(metadata)
    fields = {"id": str(id), "content": text, "score": score} | meta.pop(REST, {}) | {"meta": meta}
    return Document.from_dict(fields)
