"""The PyTorch side of the gate: the checkpoint's tokenizer and weights under PyLate's rules, without the runtime."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from latelite.manifest import Settings
from latelite_export.encoder import Encoder
from latelite_export.tokenizer import CheckpointTokenizer

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """One text as the encoder sees it."""

    ids: NDArray[np.int64]
    """(tokens,)"""
    attention: NDArray[np.int64]
    """(tokens,)"""
    keep: NDArray[np.bool_]
    """bool (tokens,): which vectors are kept."""
    is_query: bool

    def feed(self, inputs: tuple[str, ...]) -> dict[str, NDArray[np.int64]]:
        """The graph's inputs, each (1, tokens)."""
        arrays = {
            "input_ids": self.ids[None],
            "attention_mask": self.attention[None],
            "token_type_ids": np.zeros_like(self.ids)[None],
        }
        return {name: arrays[name] for name in inputs}


class Reference:
    """The checkpoint in PyTorch."""

    def __init__(self, encoder: Encoder, tokenizer: CheckpointTokenizer, settings: Settings) -> None:
        self.encoder = encoder
        self._tokenizer = tokenizer
        self._settings = settings

    @property
    def dim(self) -> int:
        """Dimensions of a token vector."""
        return int(self.run(np.full((1, 2), self._tokenizer.ids.padding), np.ones((1, 2), dtype=np.int64)).shape[-1])

    def sample(self, text: str, *, is_query: bool) -> Sample:
        """A text as PyLate feeds it to the encoder."""
        settings, ids = self._settings, self._tokenizer.ids
        text = self._prompt(is_query=is_query) + text
        if settings.strip:
            text = text.strip()
        if settings.do_lower_case:
            text = text.lower()
        prefix = ids.query_prefix if is_query else ids.document_prefix
        length = settings.query_length if is_query else settings.document_length
        room = length if prefix is None else length - 1
        tokens: list[int] = self._tokenizer.reference(text, truncation=True, max_length=room)["input_ids"]
        if prefix is not None:
            tokens = [*tokens[:1], prefix, *tokens[1:]]
        attention = [1] * len(tokens)
        if is_query and settings.do_query_expansion:
            missing = length - len(tokens)
            tokens += [ids.padding] * missing
            attention += [int(settings.attend_to_expansion_tokens)] * missing
        skipped = set() if is_query else set(ids.skiplist)
        return Sample(
            np.array(tokens, dtype=np.int64),
            np.array(attention, dtype=np.int64),
            np.array([token not in skipped for token in tokens]),
            is_query,
        )

    def encode(self, text: str, *, is_query: bool) -> Vectors:
        """Token vectors (tokens, dim) of one text."""
        sample = self.sample(text, is_query=is_query)
        vectors: Vectors = self.run(sample.ids[None], sample.attention[None])[0][sample.keep]
        return vectors

    def run(self, ids: NDArray[np.int64], attention: NDArray[np.int64]) -> Vectors:
        """Run the bare module: int64 ``ids`` and ``attention``, (texts, tokens) -> (texts, tokens, dim)."""
        arrays = {"input_ids": ids, "attention_mask": attention, "token_type_ids": np.zeros_like(ids)}
        # One thread: sums in the same order in every run, and no thread pool to wake up for each short text.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                output: torch.Tensor = self.encoder(*(torch.from_numpy(arrays[name]) for name in self.encoder.inputs))
        finally:
            torch.set_num_threads(threads)
        return np.asarray(output.numpy(), dtype=np.float32)

    def _prompt(self, *, is_query: bool) -> str:
        """The default prompt of the role."""
        prompts = self._settings.prompts
        names = ("query",) if is_query else ("document", "passage", "corpus")
        name = next((name for name in names if name in prompts), self._settings.default_prompt_name)
        return prompts[name] if name is not None else ""
