"""Cases for the architectures beyond those that the first cases vary: one or two each, decoders included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .case import BRIEF, EXPANSION, NO_EXPANSION, PUNCTUATION, PYLATE, Case

_PLAIN: Mapping[str, Any] = {**PYLATE, **NO_EXPANSION, **PUNCTUATION}
_EXPANDED: Mapping[str, Any] = {**PYLATE, **EXPANSION, **PUNCTUATION}
_DISENTANGLED = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "max_relative_positions": -1,
}

CASES: tuple[Case, ...] = (
    Case(
        name="mbert",
        about="a cased multilingual WordPiece vocabulary: case and accents stay",
        tokenizer="wordpiece-cased",
        layers=2,
        heads=4,
        settings=_EXPANDED,
        seed=30,
        texts=(*BRIEF, "other scripts", "decomposed accents"),
    ),
    Case(
        name="electra",
        about="embeddings narrower than the layers",
        backbone="electra",
        layers=2,
        heads=4,
        config={"embedding_size": 32},
        settings=_EXPANDED,
        seed=31,
        texts=BRIEF,
    ),
    Case(
        name="albert",
        about="layers that share their weights, in two groups; Unigram pieces in front of BERT's special tokens",
        backbone="albert",
        tokenizer="albert",
        layers=4,
        heads=4,
        config={"embedding_size": 32, "num_hidden_groups": 2, "inner_group_num": 1, "hidden_act": "gelu_new"},
        settings=_PLAIN,
        seed=32,
        texts=BRIEF,
    ),
    Case(
        name="camembert",
        about="RoBERTa under another name, with Unigram pieces",
        backbone="camembert",
        tokenizer="unigram",
        layers=2,
        heads=4,
        settings=_EXPANDED,
        seed=33,
        texts=BRIEF,
    ),
    Case(
        name="roformer",
        about="rotary positions in an encoder; values are not rotated",
        backbone="roformer",
        layers=2,
        heads=4,
        config={"embedding_size": 32, "rotary_value": False},
        settings=_EXPANDED,
        seed=34,
        texts=BRIEF,
    ),
    Case(
        name="deberta",
        about="disentangled attention, first version; byte-level BPE between [CLS] and [SEP]",
        backbone="deberta",
        tokenizer="modernbert",
        layers=2,
        heads=4,
        config={**_DISENTANGLED, "hidden_act": "gelu"},
        settings=_PLAIN,
        seed=35,
        texts=BRIEF,
    ),
    Case(
        name="xlm-roberta-xl",
        about="norms in front of the layers instead of behind them",
        backbone="xlm-roberta-xl",
        tokenizer="unigram",
        layers=2,
        heads=4,
        settings=_EXPANDED,
        seed=38,
        texts=BRIEF,
    ),
    Case(
        name="qwen3",
        about="a decoder: a token sees what is before it; heads that share keys and are wider than hidden / heads; no "
        "special tokens around a text, so that the prefix comes behind its first token",
        backbone="qwen3",
        tokenizer="qwen3",
        layers=2,
        heads=4,
        config={"num_key_value_heads": 2, "head_dim": 16, "rope_theta": 5000.0},
        settings=_PLAIN,
        weights="BF16",
        seed=39,
        texts=BRIEF,
    ),
    Case(
        name="qwen3-expansion",
        about="expanded queries of a decoder, padded with its end-of-text token; a token of the tokenizer's behind the "
        "text",
        backbone="qwen3",
        tokenizer="qwen3-embedding",
        layers=2,
        heads=4,
        config={"num_key_value_heads": 2, "head_dim": 16, "rope_theta": 5000.0},
        settings=_EXPANDED,
        seed=40,
        texts=("empty", *BRIEF),
    ),
)
