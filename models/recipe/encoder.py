"""Stage *encoder*: the original encoder over the reduced vocabulary, with one prefix token per role.

PyLate marks a text's role with one token at position 1, the original with the prompt "query: " or "passage: ". The
token's embedding is the mean of the embeddings of the prompt's subwords.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from recipe.whole_words import rows

EMBEDDINGS = "embeddings.word_embeddings.weight"
PREFIXES = {"[Q] ": "query: ", "[D] ": "passage: "}
"""Prefix token -> prompt that it replaces."""

BUILD_STATE = ("_name_or_path", "pad_token_id", "torch_dtype", "transformers_version", "vocab_size")


def build_encoder(source: Path, vocabulary: Path, folder: Path) -> None:
    """Write ``config.json``, ``model.safetensors`` and ``tokenizer.json`` with the prefix tokens to ``folder``."""
    weights = load_file(source / "model.safetensors")
    subwords = json.loads((vocabulary / "subwords.json").read_text(encoding="utf-8"))
    words = json.loads((vocabulary / "words.json").read_text(encoding="utf-8"))
    original = Tokenizer.from_file(str(source / "tokenizer.json"))
    embeddings = weights[EMBEDDINGS]
    prefixes = np.stack([prompt_row(original, embeddings, prompt) for prompt in PREFIXES.values()])
    weights[EMBEDDINGS] = np.concatenate([rows(original, subwords, words, embeddings), prefixes]).astype(np.float32)
    # Token vectors do not depend on the pooler and the position buffer.
    weights = {k: v for k, v in weights.items() if not k.startswith("pooler.") and not k.endswith("position_ids")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    tokenizer = json.loads((vocabulary / "tokenizer.json").read_text(encoding="utf-8"))
    add_tokens(tokenizer, list(PREFIXES))
    text = json.dumps(tokenizer, ensure_ascii=False, indent=1)
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")

    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    pad = next(token["id"] for token in tokenizer["added_tokens"] if token["content"] == "<pad>")
    config = {key: value for key, value in config.items() if key not in BUILD_STATE}
    config |= {"pad_token_id": pad, "torch_dtype": "float32", "vocab_size": len(weights[EMBEDDINGS])}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def prompt_row(tokenizer: Tokenizer, embeddings: NDArray[np.float32], prompt: str) -> NDArray[np.float32]:
    """Embedding ``(hidden,)`` of a prefix token: the mean over the subwords of its prompt."""
    ids = tokenizer.encode(prompt.strip(), add_special_tokens=False).ids
    row: NDArray[np.float32] = embeddings[ids].mean(axis=0)
    return row


def add_tokens(tokenizer: dict[str, Any], tokens: list[str]) -> None:
    """Append tokens after the model's vocabulary, as PyLate's ``add_tokens`` stores them."""
    first = len(tokenizer["model"]["vocab"])
    for offset, content in enumerate(tokens):
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
        tokenizer["added_tokens"].append({"id": first + offset, "content": content, **flags})
