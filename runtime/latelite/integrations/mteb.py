"""mteb: any retrieval or reranking task of the benchmark on a bundle, searched as a collection is.

```python
import mteb
from latelite.integrations.mteb import LateliteSearch

mteb.evaluate(LateliteSearch("models/default-onnx"), mteb.get_task("SciFact"))
```

mteb fetches its tasks from a model hub. What it evaluates is the search, not vectors, so it needs no PyTorch for the
model: the corpus of each task becomes a collection in a temporary folder.
"""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from latelite.collection import Collection
from latelite.integrations import missing
from latelite.manifest import Precision
from latelite.models import ColBERT
from latelite.search import MODES, Mode

try:
    from mteb.models import ModelMeta
    from mteb.models.model_meta import ScoringFunction
except ImportError as error:
    raise missing("mteb", "mteb", error) from error

_QUERIES_AT_ONCE = 64


class LateliteSearch:
    """mteb's search protocol: one corpus at a time, so not for several threads.

    Args:
        model: bundle folder, name of an installed model, or loaded `ColBERT`; None takes the installed model.
        mode: as in `Collection.search`. ``"semantic"`` is what other late-interaction models are evaluated by.
        index: kind of index, see `latelite.indexes`; ``"Exact"`` measures the model alone.
        precision: graph that encodes, see `ColBERT`.

    Raises:
        ValueError: there is no such mode.
        BundleError: the bundle cannot be used.
    """

    def __init__(
        self,
        model: str | Path | ColBERT | None = None,
        *,
        mode: Mode = "hybrid",
        index: str = "Exact",
        precision: Precision | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}.")
        self.model = model if isinstance(model, ColBERT) else ColBERT(model, precision=precision)
        self.mode: Mode = mode
        self.index_kind = index
        self._collection: Collection | None = None
        self._discard: Callable[[], object] = lambda: None

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """What mteb writes beside the results. Mode, precision and index are its experiment, so they are kept apart."""
        manifest = self.model.manifest
        name = str(manifest.checkpoint["id"])
        graph = manifest.files[manifest.graphs[self.model.precision].file]
        return ModelMeta(
            loader=None,
            name=name if name.count("/") == 1 else f"latelite/{Path(name).name}",
            revision=manifest.fingerprint,
            release_date=None,
            languages=None,
            n_parameters=None,
            memory_usage_mb=graph.bytes / 2**20,
            max_tokens=manifest.settings.document_length,
            embed_dim=manifest.dim,
            license=None,
            open_weights=True,
            public_training_code=None,
            public_training_data=None,
            framework=["ONNX", "NumPy"],
            similarity_fn_name=ScoringFunction.MAX_SIM if self.mode == "semantic" else ScoringFunction.CUSTOM,
            use_instructions=False,
            training_datasets=None,
            model_type=["late-interaction" if self.mode == "semantic" else "hybrid"],
            experiment_kwargs={"mode": self.mode, "precision": self.model.precision, "index": self.index_kind},
        )

    def index(
        self,
        corpus: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        encode_kwargs: Mapping[str, Any],
        num_proc: int | None,
        **kwargs: Any,
    ) -> None:
        """Make a collection of a corpus, in place of the one before.

        Args:
            corpus: rows with ``id``, ``text`` and perhaps ``title``, which is put in front of the text, as mteb does.
            encode_kwargs: ``show_progress_bar`` counts; texts are encoded one by one, whatever ``batch_size`` is.
            task_metadata, hf_split, hf_subset, num_proc, kwargs: without effect.

        Raises:
            ValueError: a document is no text.
        """
        self.close()
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="latelite-mteb-"))
            made = Collection(Path(folder) / "corpus.lt", self.model, index=self.index_kind)
            self._collection = stack.enter_context(made)
            self._discard = weakref.finalize(self, stack.pop_all().close)  # mteb closes nothing
        self._collection.index_metadata("id")
        ids, texts = [], []
        for row in corpus:
            ids.append(row["id"])
            texts.append(_document(row))
        self._collection.add(
            ids, texts, [{"id": id_} for id_ in ids], show_progress_bar=encode_kwargs.get("show_progress_bar")
        )

    def search(
        self,
        queries: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        top_k: int,
        encode_kwargs: Mapping[str, Any],
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        num_proc: int | None,
        **kwargs: Any,
    ) -> dict[str, dict[str, float]]:
        """Search the corpus that `index` was given.

        Args:
            queries: rows with ``id``, ``text`` and perhaps ``instruction``, which is put after the text, as mteb does.
            top_k: hits per query at most.
            top_ranked: in reranking tasks, query id -> ids of the documents to rank; queries without are left out.
            task_metadata, hf_split, hf_subset, encode_kwargs, num_proc, kwargs: without effect.

        Returns:
            Query id -> document id -> score.

        Raises:
            RuntimeError: `index` was not called before.
            ValueError: a query is no text.
        """
        if self._collection is None:
            raise RuntimeError("search needs a corpus: call index first.")
        found: dict[str, dict[str, float]] = {}
        for ids, texts in _chunks(queries):
            if top_ranked is None:
                hits = self._collection.search_batch(texts, top_k, mode=self.mode)
                found |= {
                    id_: {hit.metadata["id"]: hit.score for hit in each} for id_, each in zip(ids, hits, strict=True)
                }
                continue
            for id_, text in zip(ids, texts, strict=True):
                if id_ in top_ranked:
                    where = {"id": {"$in": list(top_ranked[id_])}}
                    ranked = self._collection.search(text, top_k, where=where, mode=self.mode)
                    found[id_] = {hit.metadata["id"]: hit.score for hit in ranked}
        return found

    def close(self) -> None:
        """Remove the collection of the last corpus."""
        self._discard()
        self._collection = None

    def __enter__(self) -> LateliteSearch:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _chunks(queries: Any) -> Iterator[tuple[list[str], list[str]]]:
    ids, texts = [], []
    for row in queries:
        ids.append(row["id"])
        texts.append(_query(row))
        if len(ids) == _QUERIES_AT_ONCE:
            yield ids, texts
            ids, texts = [], []
    if ids:
        yield ids, texts


def _document(row: Mapping[str, Any]) -> str:
    text, title = row.get("text"), row.get("title")
    if not isinstance(text, str):
        raise ValueError(f"document {row['id']!r} has no text; latelite reads texts only.")
    return f"{title} {text}".strip() if title else text.strip()


def _query(row: Mapping[str, Any]) -> str:
    text, instruction = row.get("text"), row.get("instruction")
    if not isinstance(text, str):
        raise ValueError(f"query {row['id']!r} is no text but {type(text).__name__}; latelite reads texts only.")
    return f"{text} {instruction}" if instruction else text
