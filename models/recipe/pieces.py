"""Pieces of a vocabulary: how much text uses them, which ones to keep, and a tokenizer cut to those.

The embedding matrix is 82 % of the original's parameters. Pieces are ranked by how often the seven languages' words,
translated messages and Python source use them; single characters of the Latin and Greek scripts, digits, punctuation
and symbols that occur stay whatever their rank, so that hardly any word of these languages needs the unknown token.
"""

from __future__ import annotations

import copy
import logging
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from recipe import corpus
from recipe.errors import FormatError
from recipe.pins import LANGUAGES

logger = logging.getLogger(__name__)

WORDS_PER_LANGUAGE = 150_000
CAPITALISED = {"de": 0.5}
"""Weight of a word's capitalised form beside its lower-case one: German writes every noun so."""
CAPITALISED_ELSEWHERE = 0.2
UPPER_CASE = 0.01
MESSAGES_WEIGHT = 0.15
"""Weight of a language's messages beside its words (1); they carry punctuation and markup that word lists lack."""
SOURCES_WEIGHT = 0.5
CHUNK = 10_000

WORD_START = "▁"
SYMBOL_SCRIPTS = ("LATIN", "GREEK")
SYMBOL_CATEGORIES = "PSN"
OTHER_SCRIPTS = (
    "ARABIC", "ARMENIAN", "BENGALI", "CJK", "DEVANAGARI", "ETHIOPIC", "GEORGIAN", "GUJARATI", "GURMUKHI", "HALFWIDTH",
    "HANGUL", "HEBREW", "HIRAGANA", "IDEOGRAPHIC", "KANNADA", "KATAKANA", "KHMER", "LAO", "MALAYALAM", "MYANMAR",
    "ORIYA", "SINHALA", "TAMIL", "TELUGU", "THAI", "TIBETAN",
)  # fmt: skip
"""Scripts whose digits and punctuation need not stay."""

Counts = NDArray[np.float64]
Ids = NDArray[np.int64]


def is_kept_character(character: str) -> bool:
    """Whether a single character stays in the vocabulary whatever its frequency."""
    name = unicodedata.name(character, "")
    if unicodedata.category(character)[0] in SYMBOL_CATEGORIES:
        return not any(script in name for script in OTHER_SCRIPTS)
    return name.startswith(SYMBOL_SCRIPTS)


def piece_shares(tokenizer: Tokenizer, weighted: Iterable[tuple[str, float]]) -> Counts:
    """Share of each piece, ``(vocabulary,)`` summing to 1, in texts that each count ``weight`` times."""
    counts = np.zeros(tokenizer.get_vocab_size())
    texts = iter(weighted)
    while chunk := list(islice(texts, CHUNK)):
        encoded = tokenizer.encode_batch([text for text, _ in chunk], add_special_tokens=False)
        for encoding, (_, weight) in zip(encoded, chunk, strict=True):
            np.add.at(counts, encoding.ids, weight)
    shares: Counts = counts / max(counts.sum(), 1e-300)
    return shares


def word_forms(words: Iterable[tuple[str, float]], language: str) -> Iterable[tuple[str, float]]:
    """Each lower-case word with its capitalised and upper-case forms, weighted."""
    capitalised = CAPITALISED.get(language, CAPITALISED_ELSEWHERE)
    for word, frequency in words:
        yield word, frequency
        yield word[:1].upper() + word[1:], frequency * capitalised
        yield word.upper(), frequency * UPPER_CASE


def use_in_seven_languages(tokenizer: Tokenizer, words: Path, messages: Path) -> Counts:
    """How much each piece is used, ``(vocabulary,)``: the sum of its shares in every source of text."""
    use = np.zeros(tokenizer.get_vocab_size())
    for language in LANGUAGES:
        frequent = islice(corpus.word_frequencies(words, language), WORDS_PER_LANGUAGE)
        use += piece_shares(tokenizer, word_forms(frequent, language))
        logger.info("counted pieces of %s", language)
    for texts in corpus.messages(messages).values():
        use += MESSAGES_WEIGHT * piece_shares(tokenizer, ((text, 1.0) for text in texts))
    use += SOURCES_WEIGHT * piece_shares(tokenizer, ((text, 1.0) for text in corpus.python_sources(messages)))
    return use


def choose(pieces: Sequence[str], special: Iterable[str], use: Counts, size: int) -> Ids:
    """Ids of the pieces to keep, ascending: special ones, single characters in use, the most used; ``size`` in all."""
    special = set(special)
    must_stay = np.array(
        [
            piece in special or piece == WORD_START or (len(bare) == 1 and used and is_kept_character(bare))
            for piece, used in zip(pieces, use > 0, strict=True)
            for bare in [piece.removeprefix(WORD_START)]
        ]
    )
    if must_stay.sum() > size:
        raise FormatError(f"a vocabulary of {size} pieces cannot hold {must_stay.sum()} characters and special tokens")
    rank = np.argsort(-np.where(must_stay, np.inf, use), kind="stable")
    return np.sort(rank[:size])


def cut_tokenizer(tokenizer: dict[str, Any], keep: Ids) -> dict[str, Any]:
    """``tokenizer.json`` of a Unigram model with the pieces ``keep``: ids counted anew, everything else as it was."""
    if tokenizer["model"]["type"] != "Unigram":
        raise FormatError(f"the tokenizer is a {tokenizer['model']['type']} model; the cut knows Unigram")
    cut = copy.deepcopy(tokenizer)
    pieces = cut["model"]["vocab"]
    cut["model"]["vocab"] = [pieces[old] for old in keep]
    ids = {piece: new for new, (piece, _) in enumerate(cut["model"]["vocab"])}
    cut["model"]["unk_id"] = ids[pieces[tokenizer["model"]["unk_id"]][0]]
    for token in cut["added_tokens"]:
        token["id"] = ids[token["content"]]
    for token in cut["post_processor"]["special_tokens"].values():
        token["ids"] = [ids[name] for name in token["tokens"]]
    cut["truncation"] = cut["padding"] = None
    return cut
