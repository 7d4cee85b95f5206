"""Words that the vocabulary takes apart, and that get a piece of their own.

The teacher's pieces were chosen on a hundred languages: "Verzeichnis" is four of them, and what they mean together is
for the layers to find out. A word that has a translation gets a row of the embeddings: that of its translation into
English, which the teacher knows best. So it stands where it belongs before any training.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from recipe.pieces import WORD_START
from recipe.pins import LANGUAGES
from recipe.translations import Table

FREQUENT = 800
"""Words that get a piece of their own."""
LEAST = 2e-7
"""Share of all words that these have at least."""
PIECES = 3
"""A word of fewer pieces, the mark of its beginning among them, stays as it is."""
WORD = re.compile(r"[^\W\d_]{3,}")


def meanings(tables: Mapping[str, Table], word: str) -> list[str]:
    """What the word means in English: the first translation of each language that has it; nothing if English has it."""
    if word.lower() in tables["en-de"]:
        return []
    found = [tables[f"{language}-en"] for language in LANGUAGES if language != "en"]
    return [table[word.lower()][0] for table in found if word.lower() in table]


def length(tokenizer: Tokenizer, word: str) -> int:
    return len(tokenizer.encode(word, add_special_tokens=False).ids)


def choose_words(tokenizer: Tokenizer, use: Mapping[str, float], tables: Mapping[str, Table]) -> dict[str, list[str]]:
    """The words that would save the most pieces, the best first, with what each means in English.

    ``use`` is each word's share of all words.
    """
    meant = {word: meanings(tables, word) for word, share in use.items() if share > LEAST and WORD.fullmatch(word)}
    lengths = {word: length(tokenizer, word) for word, found in meant.items() if found}
    saved = {word: use[word] * (pieces - 1) for word, pieces in lengths.items() if pieces >= PIECES}
    return {word: meant[word] for word in sorted(saved, key=lambda name: (-saved[name], name))[:FREQUENT]}


def widen(tokenizer: str, found: Iterable[str], use: Mapping[str, float]) -> str:
    """``tokenizer.json`` of a Unigram model with words of their own; a score is the log of a word's share."""
    made = json.loads(tokenizer)
    total = sum(use.values())
    made["model"]["vocab"] += [[WORD_START + word, log(use[word] / total)] for word in found]
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


def rows(
    tokenizer: Tokenizer, pieces: Iterable[str], meant: Mapping[str, Sequence[str]], embeddings: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Embedding of each piece: the one it has in ``tokenizer``, for a word of its own the mean of its meanings'."""

    def row(text: str) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = embeddings[tokenizer.encode(text, add_special_tokens=False).ids].mean(axis=0)
        return mean

    found = []
    for piece in pieces:
        known = tokenizer.token_to_id(piece)
        texts = meant.get(piece.removeprefix(WORD_START), ())
        found.append(embeddings[known] if known is not None else np.mean([row(text) for text in texts], axis=0))
    return np.stack(found)
