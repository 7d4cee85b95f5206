"""Encoder, projection and settings as one folder in PyLate's layout."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from recipe.encoder import PREFIXES

QUERY_LENGTH = 64
DOCUMENT_LENGTH = 300
SKIPLIST = tuple(string.punctuation)

SPECIAL_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


def settings() -> dict[str, Any]:
    """``config_sentence_transformers.json``."""
    query_prefix, document_prefix = PREFIXES
    return {
        "__version__": {"sentence_transformers": "5.1.1", "transformers": "4.57.6", "pytorch": "2.13.0"},
        "model_type": "ColBERT",
        "prompts": {},
        "default_prompt_name": None,
        "similarity_fn_name": "MaxSim",
        "query_prefix": query_prefix,
        "document_prefix": document_prefix,
        "query_length": QUERY_LENGTH,
        "document_length": DOCUMENT_LENGTH,
        "do_query_expansion": False,
        "attend_to_expansion_tokens": False,
        "skiplist_words": list(SKIPLIST),
    }


def tokenizer_config(tokenizer: Mapping[str, Any], longest: int) -> dict[str, Any]:
    """``tokenizer_config.json`` with the settings that ``tokenizer.json`` does not have."""
    flags = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return {
        "added_tokens_decoder": {
            str(token["id"]): {flag: token[flag] for flag in flags} for token in tokenizer["added_tokens"]
        },
        "clean_up_tokenization_spaces": False,
        "extra_special_tokens": {},
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": longest,
        "tokenizer_class": "PreTrainedTokenizerFast",
        **SPECIAL_TOKENS,
    }


def write_layout(encoder: Path, projection: Path, record: Mapping[str, Any], folder: Path) -> None:
    """Write the checkpoint to ``folder``; ``record`` describes how it was made and becomes ``recipe.json``."""
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        shutil.copyfile(encoder / name, folder / name)
    dense = folder / "1_Dense"
    dense.mkdir()
    shutil.copyfile(projection / "model.safetensors", dense / "model.safetensors")
    with safe_open(projection / "model.safetensors", "np") as weights:
        out_features, in_features = weights.get_slice("linear.weight").get_shape()

    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    longest = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    documents = {
        "1_Dense/config.json": {
            "in_features": in_features,
            "out_features": out_features,
            "bias": True,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
        "config_sentence_transformers.json": settings(),
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
        ],
        "recipe.json": dict(record),
        "sentence_bert_config.json": {"max_seq_length": DOCUMENT_LENGTH - 1, "do_lower_case": False},
        "special_tokens_map.json": SPECIAL_TOKENS,
        "tokenizer_config.json": tokenizer_config(tokenizer, longest),
    }
    for name, content in documents.items():
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
