"""LlamaIndex: a collection as a vector store, a retriever over it, and a node postprocessor that reranks.

```python
from latelite import Collection
from latelite.integrations.llamaindex import LateliteRetriever

retriever = LateliteRetriever(Collection("notes.lt"), similarity_top_k=3)
retriever.retrieve("Wann fährt der Zug?")
```

With `LateliteVectorStore` nothing is embedded outside the collection: pass ``embed_model=MockEmbedding(1)`` to
`VectorStoreIndex`, which always asks for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latelite.collection import Collection
from latelite.integrations import missing
from latelite.models import ColBERT
from latelite.rank import score_texts

try:
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TextNode
    from llama_index.core.vector_stores.types import (
        BasePydanticVectorStore,
        FilterCondition,
        FilterOperator,
        MetadataFilter,
        MetadataFilters,
        VectorStoreQuery,
        VectorStoreQueryMode,
        VectorStoreQueryResult,
    )
    from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
except ImportError as error:
    raise missing("llama-index-core", "llamaindex", error) from error

_NODE_ID = "_node_id"
"""Reserved metadata key: the node's id, so that a query can be restricted to some nodes by a filter."""
_MODES = {
    VectorStoreQueryMode.DEFAULT: "hybrid",
    VectorStoreQueryMode.HYBRID: "hybrid",
    VectorStoreQueryMode.SEMANTIC_HYBRID: "hybrid",
    VectorStoreQueryMode.TEXT_SEARCH: "lexical",
    VectorStoreQueryMode.SPARSE: "lexical",
}
_OPERATORS = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.IN: "$in",
    FilterOperator.NIN: "$nin",
    FilterOperator.CONTAINS: "$contains",
    FilterOperator.TEXT_MATCH: "$contains",
}


class LateliteRetriever(BaseRetriever):
    """Searches a collection that may also have been filled without LlamaIndex. May be used from several threads."""

    def __init__(
        self,
        collection: Collection,
        similarity_top_k: int = 5,
        *,
        filters: MetadataFilters | None = None,
        mode: str = "hybrid",
        **kwargs: Any,
    ) -> None:
        self._collection = collection
        self._top_k = similarity_top_k
        self._where = where_from(filters)
        self._mode = mode
        super().__init__(**kwargs)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self._collection.search(query_bundle.query_str, k=self._top_k, where=self._where, mode=self._mode)  # type: ignore[arg-type]
        return [NodeWithScore(node=_node(hit), score=hit.score) for hit in hits]


class LateliteVectorStore(BasePydanticVectorStore):
    """A collection as LlamaIndex's vector store; it takes texts and encodes them itself. Several threads may use it."""

    stores_text: bool = True
    is_embedding_query: bool = False
    flat_metadata: bool = False

    _collection: Collection = PrivateAttr()

    def __init__(self, collection: Collection) -> None:
        super().__init__()
        self._collection = collection

    @classmethod
    def class_name(cls) -> str:
        return "LateliteVectorStore"

    @property
    def client(self) -> Collection:
        """The collection."""
        return self._collection

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Add nodes, or replace those whose ids are there; returns the ids."""
        last = {node.node_id: node for node in nodes}
        self._collection.add(
            list(last),
            [node.get_content(metadata_mode=MetadataMode.NONE) for node in last.values()],
            [_metadata(node) for node in last.values()],
        )
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove all nodes of a source document."""
        self._collection.remove(where={"ref_doc_id": ref_doc_id})

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Remove the nodes that have one of the ids and match the filters."""
        gone = [node.node_id for node in self.get_nodes(node_ids, filters)]
        if gone:
            self._collection.remove(gone)

    def clear(self) -> None:
        """Remove all nodes."""
        if ids := list(self._collection.ids):
            self._collection.remove(ids)

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """The nodes that have one of the ids (any, when None) and match the filters."""
        wanted = None if node_ids is None else set(node_ids)
        found = self._collection.documents(where=where_from(filters))
        return [_node(document) for document in found if wanted is None or document.id in wanted]

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Search for ``query.query_str``.

        Raises:
            ValueError: there is no query text (the collection encodes it; vectors from elsewhere do not fit), or the
                mode is not one that the collection has.
        """
        if query.query_str is None:
            raise ValueError("LateliteVectorStore needs query_str: the collection encodes the query itself.")
        if query.mode not in _MODES:
            known = ", ".join(mode.value for mode in _MODES)
            raise ValueError(f"LateliteVectorStore has no query mode {query.mode.value!r}; it has {known}.")
        where = where_from(query.filters)
        restrictions = [] if where is None else [where]
        if query.doc_ids:  # an index passes empty lists where it does not restrict
            restrictions.append({"ref_doc_id": {"$in": query.doc_ids}})
        if query.node_ids:
            restrictions.append({_NODE_ID: {"$in": query.node_ids}})
        hits = self._collection.search(
            query.query_str,
            k=query.similarity_top_k,
            where={"$and": restrictions} if restrictions else None,
            mode=_MODES[query.mode],  # type: ignore[arg-type]
        )
        return VectorStoreQueryResult(
            nodes=[_node(hit) for hit in hits],
            similarities=[hit.score for hit in hits],
            ids=[str(hit.id) for hit in hits],
        )


class LateliteRerank(BaseNodePostprocessor):
    """Orders nodes by MaxSim with the query and keeps the best. May be used from several threads."""

    model: Any
    """A loaded `latelite.models.ColBERT`."""
    top_n: int | None = None
    """Nodes to keep; None keeps all."""

    @classmethod
    def class_name(cls) -> str:
        return "LateliteRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise ValueError("LateliteRerank needs the query: pass query_bundle or query_str.")
        model: ColBERT = self.model
        texts = [node.node.get_content(metadata_mode=MetadataMode.NONE) for node in nodes]
        scores = score_texts(model, query_bundle.query_str, texts)
        order = sorted(range(len(nodes)), key=lambda n: -scores[n])[: self.top_n]
        return [NodeWithScore(node=nodes[n].node, score=float(scores[n])) for n in order]


def where_from(filters: MetadataFilters | None) -> dict[str, Any] | None:
    """LlamaIndex's filters as ``where`` of `latelite.Collection.search`; None without conditions.

    Raises:
        ValueError: an operator that latelite does not have.
    """
    if filters is None or not filters.filters:
        return None
    parts = [where_from(f) or {} if isinstance(f, MetadataFilters) else _comparison(f) for f in filters.filters]
    if filters.condition == FilterCondition.OR:
        return {"$or": parts}
    if filters.condition == FilterCondition.NOT:
        return {"$not": {"$or": parts}}
    return {"$and": parts}


def _comparison(filter: MetadataFilter) -> dict[str, Any]:
    if filter.operator in _OPERATORS:
        return {filter.key: {_OPERATORS[filter.operator]: filter.value}}
    values = filter.value if isinstance(filter.value, list) else [filter.value]
    if filter.operator == FilterOperator.ANY:
        return {"$or": [{filter.key: {"$contains": value}} for value in values]}
    if filter.operator == FilterOperator.ALL:
        return {"$and": [{filter.key: {"$contains": value}} for value in values]}
    if filter.operator == FilterOperator.IS_EMPTY:
        return {"$or": [{filter.key: {"$exists": False}}, {filter.key: None}, {filter.key: []}]}
    raise ValueError(f"latelite has no filter operator {filter.operator.value!r}.")


def _metadata(node: BaseNode) -> dict[str, Any]:
    """The node without its text, which the collection holds, and without an embedding."""
    return dict(node_to_metadata_dict(node, remove_text=True, flat_metadata=False)) | {_NODE_ID: node.node_id}


def _node(found: Any) -> BaseNode:
    """A stored document as a node: as it was added, or a new text node when LlamaIndex did not add it."""
    metadata = dict(found.metadata)
    if "_node_content" in metadata:
        node: BaseNode = metadata_dict_to_node(metadata, text=found.text)
        return node
    return TextNode(id_=str(found.id), text=found.text, metadata=metadata)
