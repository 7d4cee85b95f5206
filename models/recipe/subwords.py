"""Reduction of a subword vocabulary: frequencies of subwords, which ones to keep, and a tokenizer with only those.

The embedding matrix has 82 % of the original's parameters. Subwords are ranked by how often they occur in the seven
languages' words, in translated messages and in Python source. Single Latin and Greek characters, digits, punctuation
and symbols that occur are always kept, so that hardly any word of these languages needs the unknown token.
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
"""Weight of a word's capitalised form relative to its lower-case one; German capitalises all nouns."""
CAPITALISED_ELSEWHERE = 0.2
UPPER_CASE = 0.01
MESSAGES_WEIGHT = 0.15
"""Weight of a language's messages relative to its words (1); they add punctuation and markup, which words lack."""
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
"""Scripts whose digits and punctuation are not kept."""

Counts = NDArray[np.float64]
Ids = NDArray[np.int64]


def is_kept_character(character: str) -> bool:
    """Whether a single character is kept regardless of its frequency."""
    name = unicodedata.name(character, "")
    if unicodedata.category(character)[0] in SYMBOL_CATEGORIES:
        return not any(script in name for script in OTHER_SCRIPTS)
    return name.startswith(SYMBOL_SCRIPTS)


def subword_shares(tokenizer: Tokenizer, weighted: Iterable[tuple[str, float]]) -> Counts:
    """Share of each subword, ``(vocabulary,)`` summing to 1, in texts that count ``weight`` times each."""
    counts = np.zeros(tokenizer.get_vocab_size())
    texts = iter(weighted)
    while chunk := list(islice(texts, CHUNK)):
        encoded = tokenizer.encode_batch([text for text, _ in chunk], add_special_tokens=False)
        for encoding, (_, weight) in zip(encoded, chunk, strict=True):
            np.add.at(counts, encoding.ids, weight)
    shares: Counts = counts / max(counts.sum(), 1e-300)
    return shares


def word_forms(words: Iterable[tuple[str, float]], language: str) -> Iterable[tuple[str, float]]:
    """Lower-case words with their capitalised and upper-case forms, weighted."""
    capitalised = CAPITALISED.get(language, CAPITALISED_ELSEWHERE)
    for word, frequency in words:
        yield word, frequency
        yield word[:1].upper() + word[1:], frequency * capitalised
        yield word.upper(), frequency * UPPER_CASE


def use_in_seven_languages(tokenizer: Tokenizer, words: Path, messages: Path) -> Counts:
    """Frequency of each subword, ``(vocabulary,)``: the sum of its shares in all sources of text."""
    use = np.zeros(tokenizer.get_vocab_size())
    for language in LANGUAGES:
        frequent = islice(corpus.word_frequencies(words, language), WORDS_PER_LANGUAGE)
        use += subword_shares(tokenizer, word_forms(frequent, language))
        logger.info("counted subwords of %s", language)
    for texts in corpus.messages(messages).values():
        use += MESSAGES_WEIGHT * subword_shares(tokenizer, ((text, 1.0) for text in texts))
    use += SOURCES_WEIGHT * subword_shares(tokenizer, ((text, 1.0) for text in corpus.python_sources(messages)))
    return use


def choose(subwords: Sequence[str], special: Iterable[str], use: Counts, size: int) -> Ids:
    """Ids of the ``size`` subwords to keep, ascending: special tokens, single characters in use, most frequent."""
    special = set(special)
    must_stay = np.array(
        [
            subword in special or subword == WORD_START or (len(bare) == 1 and used and is_kept_character(bare))
            for subword, used in zip(subwords, use > 0, strict=True)
            for bare in [subword.removeprefix(WORD_START)]
        ]
    )
    if must_stay.sum() > size:
        raise FormatError(
            f"a vocabulary of {size} subwords is too small for {must_stay.sum()} characters and special tokens"
        )
    rank = np.argsort(-np.where(must_stay, np.inf, use), kind="stable")
    return np.sort(rank[:size])


def cut_tokenizer(tokenizer: dict[str, Any], keep: Ids) -> dict[str, Any]:
    """``tokenizer.json`` of a Unigram model with only the subwords ``keep``, renumbered; everything else unchanged."""
    if tokenizer["model"]["type"] != "Unigram":
        raise FormatError(
            f"the tokenizer is a {tokenizer['model']['type']} model; only Unigram vocabularies can be reduced"
        )
    cut = copy.deepcopy(tokenizer)
    subwords = cut["model"]["vocab"]
    cut["model"]["vocab"] = [subwords[old] for old in keep]
    ids = {subword: new for new, (subword, _) in enumerate(cut["model"]["vocab"])}
    cut["model"]["unk_id"] = ids[subwords[tokenizer["model"]["unk_id"]][0]]
    for token in cut["added_tokens"]:
        token["id"] = ids[token["content"]]
    for token in cut["post_processor"]["special_tokens"].values():
        token["ids"] = [ids[name] for name in token["tokens"]]
    cut["truncation"] = cut["padding"] = None
    return cut
