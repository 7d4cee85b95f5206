"""The matrix: one case per way in which checkpoints differ, and what is encoded with each."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from . import vocabularies
from .texts import TEXTS

Backbone = Literal["bert", "distilbert", "mpnet", "modernbert", "roberta", "xlm-roberta"]
Layout = Literal["pylate", "stanford", "sentence-transformers-6"]

WORDY = ("empty", "english", "german", "mixed case", "numbers", "markers", "long word", "special tokens", "700 words")
"""A shorter list of texts, for cases with long sequences."""


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
    pooler: bool = True
    """Whether the unused pooler's weights are in the file; without them transformers warns, and that is all."""
    seed: int = 0
    texts: tuple[str, ...] = tuple(TEXTS)
    """Keys of `TEXTS`."""


_LENGTHS = {"query_length": 32, "document_length": 180}
_PREFIXES = {"query_prefix": "[Q] ", "document_prefix": "[D] "}
_PYLATE = {**_PREFIXES, **_LENGTHS, "attend_to_expansion_tokens": False}
_NO_EXPANSION = {"do_query_expansion": False}
_EXPANSION = {"do_query_expansion": True}
_PUNCTUATION = {"skiplist_words": list(string.punctuation)}
_GELU = "torch.nn.modules.activation.GELU"
_TANH = "torch.nn.modules.activation.Tanh"

CASES: tuple[Case, ...] = (
    Case(
        name="bert-pylate",
        about="the target's likeness: BERT with 12 heads, one Dense without bias, no query expansion",
        settings={**_PYLATE, **_NO_EXPANSION, **_PUNCTUATION},
    ),
    Case(
        name="bert-expansion",
        about="the same weights; the config has no do_query_expansion, which means: on",
        settings={**_PYLATE, **_PUNCTUATION},
    ),
    Case(
        name="bert-attend",
        about="expansion tokens take part in attention; a Dense with bias; no pooler weights; longer queries",
        head=(Dense(16, bias=True, residual=False),),
        settings={**_PYLATE, **_EXPANSION, **_PUNCTUATION, "query_length": 48, "attend_to_expansion_tokens": True},
        pooler=False,
        seed=1,
        texts=WORDY,
    ),
    Case(
        name="bert-attend-without-expansion",
        about="attend_to_expansion_tokens is ignored where there is no expansion; the defaults for all other settings",
        settings={**_NO_EXPANSION, "attend_to_expansion_tokens": True},
        seed=1,
        texts=WORDY,
    ),
    Case(
        name="bert-no-prefix",
        about="empty prefixes: nothing is inserted and the whole length is the text's; an empty skiplist",
        added_tokens=(),
        settings={**_EXPANSION, **_LENGTHS, "query_prefix": "", "document_prefix": "", "skiplist_words": []},
        seed=2,
        texts=WORDY,
    ),
    Case(
        name="bert-cased-skiplist",
        about="prefixes from the vocabulary; do_lower_case in front of a cased vocabulary; skiplist words outside the "
        "vocabulary, so that unknown tokens are dropped",
        tokenizer="wordpiece-cased",
        added_tokens=("[unused0]", "[unused1]"),
        settings={
            **_LENGTHS,
            **_NO_EXPANSION,
            "query_prefix": "[unused0]",
            "document_prefix": "[unused1]",
            "skiplist_words": ["the", "der", ",", "a word with spaces", "##n", "The"],
        },
        do_lower_case=True,
        seed=3,
    ),
    Case(
        name="bert-two-dense",
        about="a Dense of Sentence Transformers (Tanh, bias), one of PyLate's with GELU and a projected residual, one "
        "with an identity residual; null settings",
        head=(
            Dense(40, bias=True, activation=_TANH),
            Dense(16, bias=True, activation=_GELU, residual=True),
            Dense(16, activation=_TANH, residual=True),
        ),
        settings={
            **_NO_EXPANSION,
            "query_prefix": None,
            "document_prefix": None,
            "query_length": None,
            "skiplist_words": None,
        },
        seed=4,
        texts=WORDY,
    ),
    Case(
        name="bert-prompts",
        about="a default prompt, in front of documents too, and inside the truncated length",
        settings={
            **_PYLATE,
            **_NO_EXPANSION,
            "document_length": 40,
            "prompts": {"query": "query: ", "document": "the letters: ", "other": "the boat: "},
            "default_prompt_name": "other",
        },
        seed=5,
        texts=WORDY,
    ),
    Case(
        name="bert-fp16",
        about="weights in half precision, computed in single; more embedding rows than tokens",
        spare_rows=13,
        weights="F16",
        settings={**_PYLATE, **_EXPANSION, **_PUNCTUATION},
        seed=6,
        texts=WORDY,
    ),
    Case(
        name="bert-long",
        about="documents as long as the position table",
        layers=2,
        settings={**_PYLATE, **_NO_EXPANSION, **_PUNCTUATION, "query_length": 256, "document_length": 512},
        seed=7,
        texts=("empty", "english", "at the limit", "700 words"),
    ),
    Case(
        name="modernbert",
        about="rotary positions and a local window of four tokens to each side, smaller than the texts; bases that are "
        "not the defaults",
        backbone="modernbert",
        tokenizer="modernbert",
        layers=5,
        heads=4,
        settings={**_PYLATE, **_NO_EXPANSION, **_PUNCTUATION, "document_length": 300},
        seed=8,
    ),
    Case(
        name="modernbert-expansion",
        about="query expansion under a local window: far from the text, an expansion token sees nothing that it may "
        "attend to; bfloat16",
        backbone="modernbert",
        tokenizer="modernbert",
        layers=4,
        heads=4,
        settings={**_PYLATE, **_EXPANSION, **_PUNCTUATION},
        weights="BF16",
        seed=8,
        texts=WORDY,
    ),
    Case(
        name="modernbert-transformers-5",
        about="the keys of transformers 5: layer_types, rope_parameters, dtype, TokenizersBackend",
        backbone="modernbert",
        tokenizer="modernbert",
        layers=4,
        heads=4,
        settings={**_PYLATE, **_NO_EXPANSION, **_PUNCTUATION},
        saved_by_transformers_5=True,
        seed=9,
        texts=WORDY,
    ),
    Case(
        name="xlm-roberta",
        about="positions that begin behind the padding id; Unigram pieces, so that the skiplist misses marks behind a "
        "space; bfloat16",
        backbone="xlm-roberta",
        tokenizer="unigram",
        layers=2,
        weights="BF16",
        settings={**_PYLATE, **_EXPANSION, **_PUNCTUATION},
        seed=10,
    ),
    Case(
        name="roberta-attend",
        about="byte-level BPE, where a leading space matters; attended expansion",
        backbone="roberta",
        tokenizer="roberta",
        layers=2,
        heads=4,
        head=(Dense(16, bias=True, residual=False),),
        settings={**_PYLATE, **_EXPANSION, **_PUNCTUATION, "attend_to_expansion_tokens": True},
        seed=11,
    ),
    Case(
        name="roberta-no-mask",
        about="a tokenizer without a mask token: queries are expanded with the end-of-text token",
        backbone="roberta",
        tokenizer="roberta-no-mask",
        layers=2,
        heads=4,
        settings={**_PYLATE, **_EXPANSION, **_PUNCTUATION},
        seed=12,
        texts=WORDY,
    ),
    Case(
        name="distilbert-256",
        about="no token types; queries of 256 tokens",
        backbone="distilbert",
        tokenizer="distilbert",
        layers=2,
        heads=4,
        hidden=32,
        settings={**_PYLATE, **_EXPANSION, **_PUNCTUATION, "query_length": 256},
        seed=13,
        texts=("empty", "english", "mixed case", "special tokens", "700 words"),
    ),
    Case(
        name="mpnet",
        about="relative position buckets shared by all layers; special tokens with RoBERTa's names",
        backbone="mpnet",
        tokenizer="mpnet",
        layers=2,
        heads=4,
        settings={**_PYLATE, **_EXPANSION, **_PUNCTUATION},
        seed=14,
    ),
    Case(
        name="stanford",
        about="Stanford's layout: artifact.metadata, the projection beside the backbone's weights, prefixes from the "
        "vocabulary",
        added_tokens=(),
        layout="stanford",
        settings={
            "query_token_id": "[unused0]",
            "doc_token_id": "[unused1]",
            "query_token": "[Q]",
            "doc_token": "[D]",
            "query_maxlen": 24,
            "doc_maxlen": 100,
            "attend_to_mask_tokens": False,
            "mask_punctuation": True,
            "dim": 16,
            "similarity": "cosine",
        },
        seed=15,
        texts=WORDY,
    ),
    Case(
        name="st6-fixed",
        about="Sentence Transformers 6: prefixes are prompts, and unknown skiplist words are left out",
        layout="sentence-transformers-6",
        saved_by_transformers_5=True,
        settings={"prompts": {"query": "[Q] ", "document": "[D] "}, "similarity_fn_name": "maxsim"},
        encoder_settings={
            "query_length": 32,
            "document_length": 180,
            "query_expansion": {"strategy": "fixed", "attend": False, "token": None, "length": 32},
        },
        mask_settings={
            "skiplist_words": [*string.punctuation, "a word with spaces"],
            "skiplist_tasks": ["document"],
            "keep_only_token_ids": None,
        },
        seed=16,
    ),
    Case(
        name="st6-min",
        about="Sentence Transformers 6: expansion of short queries only, with a chosen token that is attended to; role "
        "prompts in words; a skiplist for queries too; do_lower_case in front of a cased vocabulary",
        tokenizer="wordpiece-cased",
        added_tokens=(),
        layout="sentence-transformers-6",
        saved_by_transformers_5=True,
        head=(Dense(24, bias=True, activation=_TANH), Dense(16, bias=True, residual=True)),
        settings={"prompts": {"query": "the query: ", "document": ""}, "default_prompt_name": "query"},
        encoder_settings={
            "query_length": 40,
            "do_lower_case": True,
            "query_expansion": {"strategy": "min", "attend": True, "token": "[unused2]", "length": 24},
        },
        mask_settings={
            "skiplist_words": list(".,:"),
            "skiplist_tasks": ["query", "document"],
            "keep_only_token_ids": None,
        },
        seed=17,
        texts=("whitespace", "newlines and tabs", "at the limit", *WORDY),
    ),
    Case(
        name="st6-no-expansion",
        about="Sentence Transformers 6 with its defaults: no expansion, no skiplist, no prompts, lengths up to the "
        "model's own; byte-level BPE, where white space that is not stripped shows",
        backbone="roberta",
        tokenizer="roberta",
        layers=2,
        heads=4,
        positions=160,
        added_tokens=(),
        layout="sentence-transformers-6",
        saved_by_transformers_5=True,
        mask_settings={"skiplist_words": [], "skiplist_tasks": ["document"], "keep_only_token_ids": None},
        seed=18,
        texts=("whitespace", "newlines and tabs", *WORDY),
    ),
)


def case(name: str) -> Case:
    """The case of that name."""
    return {case.name: case for case in CASES}[name]
