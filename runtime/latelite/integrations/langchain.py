"""LangChain: a collection as a vector store and as a retriever, and a document compressor that reranks.

```python
from latelite import Collection
from latelite.integrations.langchain import LateliteVectorStore

store = LateliteVectorStore(Collection("notes.lt"))
store.add_texts(["The night train leaves at seven."])
store.as_retriever(search_kwargs={"k": 3}).invoke("Wann fährt der Zug?")
```

Every class may be used from several threads, as the collection may; the async methods run the sync ones in an executor.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from latelite.collection import Collection
from latelite.integrations import missing
from latelite.models import ColBERT
from latelite.rank import score_texts

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun, Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore
    from pydantic import ConfigDict
except ImportError as error:
    raise missing("langchain-core", "langchain", error) from error

RERANK_SCORE = "relevance_score"
"""Metadata key under which LangChain's rerankers leave their score."""


class LateliteRetriever(BaseRetriever):
    """Searches a collection.

    ``invoke(query, k=3, where={...}, mode="semantic")`` overrides the fields for one call, so one
    retriever may be used from several threads.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    collection: Any
    """A `latelite.Collection`."""
    k: int = 4
    where: Mapping[str, Any] | None = None
    """Filter on metadata, see `latelite.Collection.search`."""
    mode: str = "hybrid"

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        where: Mapping[str, Any] | None = None,
        mode: str | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        if kwargs:
            raise TypeError(f"unknown search option {next(iter(kwargs))!r}; known are k, where and mode.")
        hits = self.collection.search(
            query,
            k=self.k if k is None else k,
            where=self.where if where is None else where,
            mode=self.mode if mode is None else mode,
        )
        return [_document(hit) for hit in hits]


class LateliteVectorStore(VectorStore):
    """A collection as LangChain's vector store. The collection encodes, so no `Embeddings` are needed.

    Ids are strings in LangChain: documents that were added with integer ids come back with those written as strings.
    One store may be used from several threads.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[Any, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        collection: Collection | str | None = None,
        **kwargs: Any,
    ) -> LateliteVectorStore:
        """Add ``texts`` to ``collection``, an open one or the folder of one.

        Args:
            embedding: ignored; the collection has its model.

        Raises:
            ValueError: no collection was given.
        """
        if collection is None:
            raise ValueError('from_texts needs collection=, an open Collection or a folder such as "notes.lt".')
        store = cls(Collection(collection, **kwargs) if isinstance(collection, str) else collection)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @property
    def embeddings(self) -> None:
        """None: the collection encodes."""
        return None

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[Any, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add texts, or replace those whose ids are there; returns the ids, made up where none was given."""
        known = list(texts)
        named = [i or str(uuid.uuid4()) for i in (ids if ids is not None else [None] * len(known))]
        if len(named) != len(known):
            raise ValueError(f"{len(named)} ids for {len(known)} texts; each text needs one id.")
        # A vector store accepts the same id twice in one call, the last one counts; a collection does not.
        last = {id_: number for number, id_ in enumerate(named)}
        fields: Sequence[Mapping[Any, Any]] = metadatas if metadatas is not None else [{}] * len(known)
        if len(fields) != len(known):
            raise ValueError(f"{len(fields)} metadata for {len(known)} texts; each text needs one.")
        self.collection.add(list(last), [known[n] for n in last.values()], [fields[n] for n in last.values()])
        return named

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        """Add documents, or replace those whose ids are there; returns the ids."""
        ids = kwargs.pop("ids", None) or [document.id for document in documents]
        return self.add_texts(
            [document.page_content for document in documents],
            [document.metadata for document in documents],
            ids=ids,
        )

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents, all of them when ``ids`` is None; ids that are not there are passed over."""
        gone = list(self.collection.ids) if ids is None else [i for i in map(self._known, set(ids)) if i is not None]
        if gone:
            self.collection.remove(gone)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents with these ids, in their order; ids that are not there are passed over."""
        return [_document(self.collection.get(i)) for i in map(self._known, ids) if i is not None]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The best ``k`` documents. ``filter`` (or ``where``) is a filter on metadata, ``mode`` as in `Collection`."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """As `similarity_search`, with `Hit.score`; more is better."""
        where = kwargs.pop("filter", kwargs.pop("where", None))
        mode = kwargs.pop("mode", "hybrid")
        if kwargs:
            raise TypeError(f"unknown search option {next(iter(kwargs))!r}; known are k, filter and mode.")
        return [(_document(hit), hit.score) for hit in self.collection.search(query, k=k, where=where, mode=mode)]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """LangChain wants 0 to 1: the score over the most that it can be."""
        most = 1 + self.collection.model.manifest.lexical_weight
        return lambda score: min(max(score / most, 0.0), 1.0)

    def _known(self, id: str) -> int | str | None:
        """The id as the collection has it; None when it has none such."""
        if id in self.collection:
            return id
        # Python refuses to read integers of more than 4,300 digits.
        number = int(id) if re.fullmatch(r"0|-?[1-9][0-9]{0,4000}", id) else None
        return number if number in self.collection else None


class LateliteReranker(BaseDocumentCompressor):
    """Orders documents by MaxSim with the query and keeps the best; any retriever may have found them. May be used from
    several threads."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Any
    """A loaded `latelite.models.ColBERT`."""
    top_n: int | None = None
    """Documents to keep; None keeps all."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Copies of the best documents, best first, each with its score (0 to 1) as metadata ``relevance_score``."""
        model: ColBERT = self.model
        scores = score_texts(model, query, [document.page_content for document in documents])
        order = sorted(range(len(documents)), key=lambda n: -scores[n])[: self.top_n]
        return [
            documents[n].model_copy(update={"metadata": {**documents[n].metadata, RERANK_SCORE: float(scores[n])}})
            for n in order
        ]


def _document(found: Any) -> Document:
    return Document(id=str(found.id), page_content=found.text, metadata=dict(found.metadata))
