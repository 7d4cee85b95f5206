"""The encoder as an object: texts in, token vectors out, with the names of PyLate and Sentence Transformers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite import default_model
from latelite.bundle import Bundle
from latelite.cpus import usable_cpus
from latelite.manifest import PRECISIONS, Manifest, Precision
from latelite.maxsim import maxsim_documents
from latelite.pooling import pool
from latelite.precision import choose_here
from latelite.progress import Progress
from latelite.session import Provider, Session, accelerated
from latelite.terms import Analyzer
from latelite.tokenization import Tokenization

logger = logging.getLogger(__name__)

Vectors = NDArray[np.float32]
"""Token vectors of one text: (tokens, dim) float32."""


class ColBERT:
    """A late-interaction encoder read from a bundle folder.

    Args:
        model_name_or_path: bundle folder written by ``latelite-export``, or name of an installed model; None takes the
            installed model, see `latelite.default_model`.
        precision: which graph of the bundle to run; None takes the one that suits this CPU, see
            `latelite.precision.choose`.
        threads: worker threads for encoding lists of texts, one text each at a time, or all of them on one long text
            when there is no other; default: all usable CPUs. The vectors do not depend on it.
        providers: execution providers of ONNX Runtime that run the graph, e.g. ``["CUDAExecutionProvider"]``; None for
            the CPU. Any but the CPU's runs the fp32 graph: int8 operators are the CPU's.

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
    ) -> None:
        if precision not in (None, *PRECISIONS):
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)} or None, not {precision!r}.")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}.")
        if accelerated(providers):
            if precision == "int8":
                raise ValueError(
                    "int8 graphs run on the CPU only, other providers would hand every product back to it; leave out "
                    'precision, or ask for precision="fp32".'
                )
            precision = "fp32"
        self.bundle = Bundle(default_model.resolve(model_name_or_path, precision=precision))
        if precision is None:
            choice = choose_here(self.manifest.graphs)
            logger.info("Running %s in %s: %s.", self.bundle.folder, choice.precision, choice.reason)
            precision = choice.precision
        self.precision: Precision = precision
        self.threads = threads or usable_cpus()
        self._tokenization = Tokenization(self.bundle.tokenizer_path, self.manifest)
        self._session = Session(
            self.bundle.graph_path(precision), self.manifest, threads=self.threads, providers=providers
        )

    @property
    def manifest(self) -> Manifest:
        """Everything that the export resolved."""
        return self.bundle.manifest

    @property
    def dim(self) -> int:
        """Dimensions of a token vector."""
        return self.manifest.dim

    @cached_property
    def analyzer(self) -> Analyzer:
        """Turns texts into terms for lexical search."""
        return Analyzer(self.bundle.tokenizer_path, self.manifest.token_ids)

    def encode(
        self,
        sentences: str | Sequence[str] | Sequence[Sequence[str]],
        *,
        is_query: bool = True,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
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
            batch_size: taken for PyLate's sake and without effect: every text runs alone, see `Session`.
            show_progress_bar: None shows it when standard error is a terminal.
            pool_factor: documents only: keep about ``1 / pool_factor`` of the tokens by hierarchical pooling.
            protected_tokens: leading tokens that pooling leaves alone.

        Returns:
            For one text an array (tokens, dim) float32, L2-normalised (pooled vectors are means and not normalised
            again); for a list, a list of such arrays in the same order; for a list of lists, a list of lists.

        Raises:
            ValueError: unknown ``prompt_name``; ``batch_size`` or ``pool_factor`` below 1.
            TypeError: a text is not a string.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
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
            vectors = self._map(encode_one, texts, bar)
        if not any(isinstance(each, list | tuple) for each in sentences):
            return vectors
        ends = np.cumsum([len(group) for group in groups])
        return [vectors[end - len(group) : end] for group, end in zip(groups, ends, strict=True)]

    def encode_query(
        self, sentences: str | Sequence[str], *, prompt_name: str | None = None, show_progress_bar: bool | None = None
    ) -> Any:
        """`encode` for queries. A prompt named "query" applies by itself when the settings have one."""
        name = prompt_name or self._first_prompt("query")
        return self.encode(sentences, is_query=True, prompt_name=name, show_progress_bar=show_progress_bar)

    def encode_document(
        self,
        sentences: str | Sequence[str],
        *,
        prompt_name: str | None = None,
        show_progress_bar: bool | None = None,
        pool_factor: int = 1,
    ) -> Any:
        """`encode` for documents. A prompt named "document", "passage" or "corpus" applies by itself."""
        name = prompt_name or self._first_prompt("document", "passage", "corpus")
        return self.encode(
            sentences,
            is_query=False,
            prompt_name=name,
            show_progress_bar=show_progress_bar,
            pool_factor=pool_factor,
        )

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

    def _prompt(self, name: str | None, prompt: str | None) -> str:
        settings = self.manifest.settings
        if prompt is not None:
            return prompt
        if name is None:
            name = settings.default_prompt_name
        if name is None:
            return ""
        if name not in settings.prompts:
            known = ", ".join(map(repr, settings.prompts)) or "none"
            raise ValueError(f"prompt {name!r} is not in this bundle's settings; known prompts: {known}.")
        return settings.prompts[name]

    def _first_prompt(self, *names: str) -> str | None:
        return next((name for name in names if name in self.manifest.settings.prompts), None)

    def _map(self, encode_one: Callable[..., Vectors], texts: Sequence[str], bar: Progress) -> list[Vectors]:
        """Encode all texts on ``self.threads`` workers, longest first so that the workers finish together.

        A worker tokenizes its text itself, while the others' texts are in the encoder.
        """
        result: dict[int, Vectors] = {}
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        if self.threads == 1 or len(texts) < 2:
            for i in order:
                result[i] = encode_one(texts[i], alone=len(texts) == 1)
                bar.advance()
        else:
            workers = ThreadPoolExecutor(min(self.threads, len(texts)), thread_name_prefix="latelite-encode")
            try:
                for i, vectors in zip(order, workers.map(encode_one, (texts[i] for i in order)), strict=True):
                    result[i] = vectors
                    bar.advance()
            finally:
                # On an error or Ctrl-C do not encode the rest of the list first.
                workers.shutdown(cancel_futures=True)
        return [result[i] for i in range(len(texts))]


def _as_list(embeddings: Vectors | Sequence[Vectors]) -> list[Vectors]:
    if isinstance(embeddings, np.ndarray) and embeddings.ndim == 2:
        return [embeddings]
    return list(embeddings)
