"""Baselines: BM25 with and without stemming, and the teacher model by itself.

Each baseline indexes a set's documents once and ranks them for a query. Sizes are the disk space of the model and of
the index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

DEPTH = 100
K1, B = 1.2, 0.75
SNOWBALL = {"de": "german", "en": "english", "es": "spanish", "fr": "french", "it": "italian", "nl": "dutch",
            "pt": "portuguese"}  # fmt: skip
_AT_ONCE = 16
_LONGEST = 512

Best = Callable[[str], list[str]]
"""Query text -> ids of the `DEPTH` best documents, best first."""


def bm25(documents: Mapping[str, str], language: str | None = None) -> Best:
    """BM25 (bm25s, Lucene's formula) over case-folded ``\\w+``; with a language, over Snowball stems.

    Raises:
        ValueError: Snowball has no stemmer for the language.
    """
    import bm25s

    if language is not None and language not in SNOWBALL:
        raise ValueError(f"no Snowball stemmer for {language!r}; there are {', '.join(SNOWBALL)}")
    stem: Callable[[list[str]], list[str]] = list
    if language is not None:
        import Stemmer

        stem = Stemmer.Stemmer(SNOWBALL[language]).stemWords

    def terms(text: str) -> list[str]:
        return stem(re.findall(r"\w+", text.casefold()))

    retriever = bm25s.BM25(k1=K1, b=B)
    ids = list(documents)
    retriever.index([terms(text) for text in documents.values()], show_progress=False)
    depth = min(DEPTH, len(ids))

    def best(text: str) -> list[str]:
        found, _ = retriever.retrieve([terms(text)], k=depth, show_progress=False)
        return [ids[i] for i in found[0]]

    return best


class E5:
    """multilingual-e5-small in PyTorch, float32: single vectors (means of token vectors), or MaxSim.

    ``folder`` is a Hugging Face folder, as written by the recipe's *fetch* stage.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer
        from transformers import AutoModel

        self.bytes = (folder / "model.safetensors").stat().st_size
        self._model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(_LONGEST)
        self._tokenizer.enable_padding(pad_id=self._model.config.pad_token_id or 1)

    def encode(self, prompt: str, texts: list[str]) -> list[Any]:
        """Normalised token vectors, ``(tokens, 384)`` float32, of each text with the prompt."""
        import torch

        found: list[Any] = [None] * len(texts)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(texts), _AT_ONCE):
            part = order[start : start + _AT_ONCE]
            encoded = self._tokenizer.encode_batch([prompt + texts[i] for i in part])
            ids = torch.tensor([one.ids for one in encoded])
            mask = torch.tensor([one.attention_mask for one in encoded])
            with torch.inference_mode():
                hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            vectors = torch.nn.functional.normalize(hidden, dim=-1).numpy()
            for place, i in enumerate(part):
                found[i] = vectors[place, : int(mask[place].sum())]
        return found


def mean_of(vectors: Any) -> Any:
    """The normalised mean of token vectors."""
    mean = vectors.mean(axis=0)
    return mean / np.linalg.norm(mean)
