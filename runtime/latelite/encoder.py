"""A bundle that is open: its graph and tokenizer, its prompts, and what they make of the length of a text."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latelite import default_model, memory
from latelite.bundle import Bundle
from latelite.cpus import usable_cpus
from latelite.manifest import PRECISIONS, Manifest, Precision
from latelite.precision import choose_here
from latelite.session import Provider, Session, accelerated
from latelite.terms import Analyzer
from latelite.tokenization import Tokenization, with_settings

logger = logging.getLogger(__name__)


class Encoder:
    """What runs a bundle. See `latelite.models.ColBERT`, which encodes with it, for the arguments."""

    def __init__(
        self,
        model_name_or_path: str | Path | None,
        *,
        precision: Precision | None,
        threads: int | None,
        providers: Sequence[Provider] | None,
        query_length: int | None,
        document_length: int | None,
        do_query_expansion: bool | None,
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
        asked = {
            "query_length": query_length,
            "document_length": document_length,
            "do_query_expansion": do_query_expansion,
        }
        graph, manifest = self.bundle.graph_path(precision), with_settings(self.manifest, asked)
        # Both read files and build tables for some 30 ms or more, ONNX Runtime without Python's lock.
        with ThreadPoolExecutor(1, thread_name_prefix="latelite-load") as loading:
            session = loading.submit(Session, graph, self.manifest, threads=self.threads, providers=providers)
            self._tokenization = Tokenization(self.bundle.tokenizer_path, manifest)
            self._session = session.result()
        memory.give_back()

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
        return Analyzer(self.bundle.tokenizer_path, self.manifest.token_ids, self._tokenization.tokenizer)

    @property
    def document_room(self) -> int:
        """Tokens of a document's text that are read; special tokens, prefix and prompt are counted off."""
        prompt = self._prompt(self._document_prompt, None)
        return self._tokenization.document_room - (self._tokenization.counts([prompt])[0] if prompt else 0)

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, uncut and without special tokens: what fits `document_room` is encoded whole."""
        return self._tokenization.counts(texts)

    def cuts(self, text: str) -> bool:
        """Whether a document is longer than the document length, so that only its beginning is encoded."""
        return self._tokenization.cuts(self._prompt(self._document_prompt, None) + text)

    def cuts_query(self, text: str) -> bool:
        """Whether a query is longer than `query_length`, so that only its beginning is encoded."""
        return self._tokenization.cuts_query(self._prompt(self._first_prompt("query"), None) + text)

    @property
    def query_length(self) -> int:
        """Tokens of a query at most, special tokens and prefix included."""
        return self._tokenization.query_length

    def query_spans(self, text: str) -> NDArray[np.int64]:
        """Where the tokens of `encode_query`'s vectors stand in the text: (tokens, 2) code points; -1 for others."""
        return self._tokenization.query_spans(text, self._prompt(self._first_prompt("query"), None))

    def document_spans(self, text: str) -> NDArray[np.int64]:
        """Where the tokens of `encode_document`'s vectors (not pooled) stand in the text, as `query_spans`."""
        return self._tokenization.document_spans(text, self._prompt(self._document_prompt, None))

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

    @property
    def _document_prompt(self) -> str | None:
        return self._first_prompt("document", "passage", "corpus")

    def _first_prompt(self, *names: str) -> str | None:
        return next((name for name in names if name in self.manifest.settings.prompts), None)
