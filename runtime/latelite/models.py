"""The encoder as an object: texts in, token vectors out, with the names of PyLate and Sentence Transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from latelite.encoder import Encoder
from latelite.manifest import Precision
from latelite.maxsim import maxsim_documents
from latelite.pooling import pool
from latelite.progress import Progress
from latelite.session import Provider
from latelite.workers import map_longest_first

Vectors = NDArray[np.float32]
"""Token vectors of one text: (tokens, dim) float32."""


class ColBERT(Encoder):
    """A late-interaction encoder read from a bundle folder. One object may be used from several threads.

    Args:
        model_name_or_path: bundle folder written by ``latelite-export``, or name of an installed model; None takes the
            installed model, see `latelite.default_model`.
        precision: which graph of the bundle to run; None takes the one that suits this CPU, see
            `latelite.precision.choose`.
        threads: worker threads for encoding lists of texts, one text each at a time, or all of them on one long text
            when there is no other; default: all usable CPUs. The vectors do not depend on it.
        providers: execution providers of ONNX Runtime that run the graph, e.g. ``["CUDAExecutionProvider"]``; None for
            the CPU. Any but the CPU's runs the fp32 graph: int8 operators are the CPU's.
        query_length: tokens of a query at most, for this object; default: the bundle's.
        document_length: tokens of a document at most, for this object; default: the bundle's.
        do_query_expansion: whether queries are filled up to ``query_length``; default: the bundle's.
        device, trust_remote_code, revision, local_files_only, token, cache_folder: taken for PyLate's sake and without
            effect: a bundle is a folder, and ``providers`` says what runs it.
        embedding_size: taken for PyLate's sake; must be the bundle's dimension.

    Raises:
        BundleError: the folder is no bundle, is damaged, or lacks the precision, or no model is installed.
        ValueError: a provider is not part of the installed ONNX Runtime, or is asked to run int8.
        ProviderError: a provider cannot be set up, so that everything would run on the CPU.
    """

    def __init__(
        self,
        model_name_or_path: str | Path | None = None,
        *,
        precision: Precision | None = None,
        threads: int | None = None,
        providers: Sequence[Provider] | None = None,
        query_length: int | None = None,
        document_length: int | None = None,
        do_query_expansion: bool | None = None,
        embedding_size: int | None = None,
        device: Any = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: Any = None,
        cache_folder: Any = None,
    ) -> None:
        super().__init__(
            model_name_or_path,
            precision=precision,
            threads=threads,
            providers=providers,
            query_length=query_length,
            document_length=document_length,
            do_query_expansion=do_query_expansion,
        )
        if embedding_size not in (None, self.dim):
            raise ValueError(f"{self.bundle.folder} gives vectors of dimension {self.dim}, not {embedding_size}.")

    @overload
    def encode(  # type: ignore[overload-overlap]  # a str is a Sequence[str], too
        self,
        sentences: str,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        padding: bool = False,
        device: Any = None,
        normalize_embeddings: bool = True,
        is_query: bool = True,
        pool_factor: int = 1,
        protected_tokens: int = 1,
    ) -> Vectors: ...

    @overload
    def encode(
        self,
        sentences: Sequence[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        padding: bool = False,
        device: Any = None,
        normalize_embeddings: bool = True,
        is_query: bool = True,
        pool_factor: int = 1,
        protected_tokens: int = 1,
    ) -> list[Vectors]: ...

    @overload
    def encode(
        self,
        sentences: Sequence[list[str] | tuple[str, ...]],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        padding: bool = False,
        device: Any = None,
        normalize_embeddings: bool = True,
        is_query: bool = True,
        pool_factor: int = 1,
        protected_tokens: int = 1,
    ) -> list[list[Vectors]]: ...

    def encode(
        self,
        sentences: str | Sequence[str] | Sequence[list[str] | tuple[str, ...]],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        padding: bool = False,
        device: Any = None,
        normalize_embeddings: bool = True,
        is_query: bool = True,
        pool_factor: int = 1,
        protected_tokens: int = 1,
    ) -> Any:
        """Encode texts as queries or documents.

        Args:
            sentences: one text, a list of texts, or a list of lists (as `rank.rerank` wants its candidates).
            is_query: queries get the query prefix, length and expansion; documents the document prefix and length,
                and lose the tokens of the skiplist.
            prompt_name: name of a prompt in the bundle's settings; its text is put in front of every input. When
                neither this nor ``prompt`` is given, the settings' default prompt applies, if there is one.
            prompt: text to put in front of every input; wins over ``prompt_name``.
            show_progress_bar: None shows it when standard error is a terminal.
            batch_size, convert_to_numpy, convert_to_tensor, padding, device: taken for PyLate's sake, without effect:
                every text runs alone, see `Session`, without padding, and gives a NumPy array.
            precision: taken for PyLate's sake; "float32" is the only one. (The graph's is `ColBERT`'s.)
            normalize_embeddings: taken for PyLate's sake; the graph normalises always.
            pool_factor: documents only: keep about ``1 / pool_factor`` of the tokens by hierarchical pooling.
            protected_tokens: leading tokens that pooling leaves alone.

        Returns:
            For one text an array (tokens, dim) float32, L2-normalised (pooled vectors are means and not normalised
            again); for a list, a list of such arrays in the same order; for a list of lists, a list of lists.

        Raises:
            ValueError: unknown ``prompt_name``; ``batch_size`` or ``pool_factor`` below 1; another ``precision`` than
                "float32", or vectors that are not normalised.
            TypeError: a text is not a string.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
        if precision != "float32" or not normalize_embeddings:
            raise ValueError("encode gives normalised float32 vectors; an index quantises them itself.")
        if pool_factor < 1 or protected_tokens < 0:
            raise ValueError("pool_factor must be at least 1 and protected_tokens at least 0.")
        prefix = self._prompt(prompt_name, prompt)
        tokenize = self._tokenization.query if is_query else self._tokenization.document

        def encode_one(text: str, *, alone: bool = False) -> Vectors:
            vectors = self._session.run(tokenize(prefix + text if prefix else text), alone=alone)
            if is_query or pool_factor == 1:
                return vectors
            return pool(vectors, pool_factor=pool_factor, protected_tokens=protected_tokens)

        if isinstance(sentences, str):
            return encode_one(sentences, alone=True)
        groups: list[Any] = [each if isinstance(each, list | tuple) else [each] for each in sentences]
        texts = [text for group in groups for text in group]
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"texts must be str, not {type(text).__name__}.")
        role = "queries" if is_query else "documents"
        with Progress(f"encoding {role}", total=len(texts), enabled=show_progress_bar) as bar:
            vectors = map_longest_first(encode_one, texts, self.threads, bar)
        if not any(isinstance(each, list | tuple) for each in sentences):
            return vectors
        ends = np.cumsum([len(group) for group in groups])
        return [vectors[end - len(group) : end] for group, end in zip(groups, ends, strict=True)]

    @overload
    def encode_query(  # type: ignore[overload-overlap]
        self, sentences: str, *, prompt_name: str | None = None, show_progress_bar: bool | None = None
    ) -> Vectors: ...

    @overload
    def encode_query(
        self, sentences: Sequence[str], *, prompt_name: str | None = None, show_progress_bar: bool | None = None
    ) -> list[Vectors]: ...

    def encode_query(
        self, sentences: str | Sequence[str], *, prompt_name: str | None = None, show_progress_bar: bool | None = None
    ) -> Vectors | list[Vectors]:
        """`encode` for queries. A prompt named "query" applies by itself when the settings have one."""
        name = prompt_name or self._first_prompt("query")
        return self.encode(sentences, is_query=True, prompt_name=name, show_progress_bar=show_progress_bar)

    @overload
    def encode_document(  # type: ignore[overload-overlap]
        self,
        sentences: str,
        *,
        prompt_name: str | None = None,
        show_progress_bar: bool | None = None,
        pool_factor: int = 1,
    ) -> Vectors: ...

    @overload
    def encode_document(
        self,
        sentences: Sequence[str],
        *,
        prompt_name: str | None = None,
        show_progress_bar: bool | None = None,
        pool_factor: int = 1,
    ) -> list[Vectors]: ...

    def encode_document(
        self,
        sentences: str | Sequence[str],
        *,
        prompt_name: str | None = None,
        show_progress_bar: bool | None = None,
        pool_factor: int = 1,
    ) -> Vectors | list[Vectors]:
        """`encode` for documents. A prompt named "document", "passage" or "corpus" applies by itself."""
        return self.encode(
            sentences,
            is_query=False,
            prompt_name=prompt_name or self._document_prompt,
            show_progress_bar=show_progress_bar,
            pool_factor=pool_factor,
        )

    def save_pretrained(self, path: str | Path) -> None:
        """Copy the bundle to a folder, from which it can be opened; what is there of the same names is replaced.

        Raises:
            BundleError: a file of the bundle is damaged.
        """
        self.bundle.copy(Path(path).expanduser())

    def similarity(
        self, queries_embeddings: Vectors | Sequence[Vectors], documents_embeddings: Vectors | Sequence[Vectors]
    ) -> NDArray[np.float32]:
        """MaxSim of every query with every document.

        Args:
            queries_embeddings: one query (tokens, dim) or a list of them.
            documents_embeddings: one document (tokens, dim) or a list of them.

        Returns:
            (queries, documents) float32.
        """
        documents = _as_list(documents_embeddings)
        scores = [maxsim_documents(query, documents) for query in _as_list(queries_embeddings)]
        return np.stack(scores) if scores else np.empty((0, len(documents)), dtype=np.float32)


def _as_list(embeddings: Vectors | Sequence[Vectors]) -> list[Vectors]:
    if isinstance(embeddings, np.ndarray) and embeddings.ndim == 2:
        return [embeddings]
    return list(embeddings)
