"""What one tiny checkpoint is like, and what is encoded with it."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from . import vocabularies
from .texts import TEXTS

Backbone = Literal[
    "albert",
    "bert",
    "camembert",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "lfm2",
    "modernbert",
    "mpnet",
    "qwen3",
    "roberta",
    "roformer",
    "xlm-roberta",
    "xlm-roberta-xl",
]
"""``model_type`` of transformers."""
Layout = Literal["pylate", "stanford", "sentence-transformers-6"]

WORDY = ("empty", "english", "german", "mixed case", "numbers", "markers", "long word", "special tokens", "700 words")
"""A shorter list of texts, for cases with long sequences."""
BRIEF = ("english", "mixed case", "markers", "numbers", "special tokens", "700 words")
"""What a case needs that is there for its architecture only."""


@dataclass(frozen=True)
class Dense:
    """One projection after the backbone: `activation(linear(x)) (+ residual)`."""

    out_features: int
    bias: bool = False
    activation: str = "torch.nn.modules.linear.Identity"
    residual: bool | None = None
    """None: a module of Sentence Transformers, which does not know the key. Otherwise PyLate's own."""


@dataclass(frozen=True)
class Case:
    """One checkpoint and what is encoded with it."""

    name: str
    about: str
    """What this case is there to catch."""
    backbone: Backbone = "bert"
    tokenizer: vocabularies.Kind = "wordpiece-uncased"
    layers: int = 3
    heads: int = 12
    hidden: int = 48
    intermediate: int = 64
    positions: int = 512
    head: tuple[Dense, ...] = (Dense(16, residual=False),)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Keys of `config_sentence_transformers.json`, or of Stanford's `artifact.metadata`; others are absent there."""
    encoder_settings: Mapping[str, Any] = field(default_factory=dict)
    """Sentence Transformers 6: keys of `sentence_bert_config.json`."""
    mask_settings: Mapping[str, Any] = field(default_factory=dict)
    """Sentence Transformers 6: keys of the MultiVectorMask's `config.json`."""
    added_tokens: tuple[str, ...] = ("[Q] ", "[D] ")
    """Prefix tokens that the tokenizer has got beyond its vocabulary."""
    spare_rows: int = 0
    """Rows of the embedding table behind the vocabulary, as tables padded to a multiple of 64 have them."""
    do_lower_case: bool = False
    weights: Literal["F32", "F16", "BF16"] = "F32"
    layout: Layout = "pylate"
    saved_by_transformers_5: bool = False
    sentencepiece: bool = False
    """Whether the vocabulary is there as `spm.model` only, without a `tokenizer.json`."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of `config.json`."""
    pooler: bool = True
    """Whether the unused pooler's weights are in the file; without them transformers warns, and that is all."""
    seed: int = 0
    texts: tuple[str, ...] = tuple(TEXTS)
    """Keys of `TEXTS`."""


LENGTHS = {"query_length": 32, "document_length": 180}
PREFIXES = {"query_prefix": "[Q] ", "document_prefix": "[D] "}
PYLATE = {**PREFIXES, **LENGTHS, "attend_to_expansion_tokens": False}
NO_EXPANSION = {"do_query_expansion": False}
EXPANSION = {"do_query_expansion": True}
PUNCTUATION = {"skiplist_words": list(string.punctuation)}
GELU = "torch.nn.modules.activation.GELU"
TANH = "torch.nn.modules.activation.Tanh"
