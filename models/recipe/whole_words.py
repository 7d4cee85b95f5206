"""Whole words added to the vocabulary.

The teacher's subwords were chosen for a hundred languages: "Verzeichnis" is four of them, whose combined meaning the
layers have to work out. A frequent word with an English translation becomes a token of its own. Its initial embedding
is that of the translation, since English is the teacher's best language.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from recipe.pins import LANGUAGES
from recipe.subwords import WORD_START
from recipe.translations import Table

FREQUENT = 800
"""Number of words that are added."""
LEAST = 2e-7
"""Minimum share of a word in all words."""
SUBWORDS = 3
"""A word with fewer subwords, counting the word-start marker, is not added."""
WORD = re.compile(r"[^\W\d_]{3,}")


def meanings(tables: Mapping[str, Table], word: str) -> list[str]:
    """English meanings of a word: the first translation in each language that has it; empty for an English word."""
    if word.lower() in tables["en-de"]:
        return []
    found = [tables[f"{language}-en"] for language in LANGUAGES if language != "en"]
    return [table[word.lower()][0] for table in found if word.lower() in table]


def length(tokenizer: Tokenizer, word: str) -> int:
    return len(tokenizer.encode(word, add_special_tokens=False).ids)


def choose_words(tokenizer: Tokenizer, use: Mapping[str, float], tables: Mapping[str, Table]) -> dict[str, list[str]]:
    """The words that save the most tokens, best first, with their English meanings.

    ``use``: each word's share of all words.
    """
    meant = {word: meanings(tables, word) for word, share in use.items() if share > LEAST and WORD.fullmatch(word)}
    lengths = {word: length(tokenizer, word) for word, found in meant.items() if found}
    saved = {word: use[word] * (subwords - 1) for word, subwords in lengths.items() if subwords >= SUBWORDS}
    return {word: meant[word] for word in sorted(saved, key=lambda name: (-saved[name], name))[:FREQUENT]}


def widen(tokenizer: str, found: Iterable[str], use: Mapping[str, float]) -> str:
    """``tokenizer.json`` of a Unigram model with whole words added; a word's score is the log of its share."""
    made = json.loads(tokenizer)
    total = sum(use.values())
    made["model"]["vocab"] += [[WORD_START + word, log(use[word] / total)] for word in found]
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


def rows(
    tokenizer: Tokenizer, subwords: Iterable[str], meant: Mapping[str, Sequence[str]], embeddings: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Embedding of each subword: its row in ``tokenizer``'s vocabulary; for an added word, the mean of its meanings."""

    def row(text: str) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = embeddings[tokenizer.encode(text, add_special_tokens=False).ids].mean(axis=0)
        return mean

    found = []
    for subword in subwords:
        known = tokenizer.token_to_id(subword)
        texts = meant.get(subword.removeprefix(WORD_START), ())
        found.append(embeddings[known] if known is not None else np.mean([row(text) for text in texts], axis=0))
    return np.stack(found)
