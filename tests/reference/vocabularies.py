"""Small tokenizers as plain `tokenizer.json` contents, built from counts of the corpus.

No trainer of any library takes part, so the same bytes come out everywhere. Each builder returns a `Tokenizer`: the
JSON and the special tokens that the other tokenizer files of a checkpoint repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from . import byte_level, unigram, wordpiece
from .tokenizer_file import Tokenizer, added_token

__all__ = ["Kind", "Tokenizer", "build"]

Kind = Literal[
    "albert",
    "deberta-v2",
    "distilbert",
    "lfm2",
    "modernbert",
    "mpnet",
    "qwen3",
    "qwen3-embedding",
    "roberta",
    "roberta-no-mask",
    "unigram",
    "wordpiece-cased",
    "wordpiece-uncased",
]


def build(kind: Kind, added: Iterable[str] = (), *, special: bool = False) -> Tokenizer:
    """The tokenizer of one kind, with further tokens added the way that prefixes are.

    Args:
        kind: Which family.
        added: Tokens that get the next free ids; those in the vocabulary keep their id.
        special: As Sentence Transformers 6 adds them: special, found in the text as it is. PyLate's are neither: they
            are found, normalised themselves, in the normalised text.
    """
    makers: dict[str, Callable[[], Tokenizer]] = {
        "albert": unigram.albert,
        "deberta-v2": unigram.deberta,
        "distilbert": wordpiece.distilbert,
        "lfm2": byte_level.lfm2,
        "modernbert": byte_level.modernbert,
        "mpnet": wordpiece.mpnet,
        "qwen3": lambda: byte_level.qwen3(ends=False),
        "qwen3-embedding": lambda: byte_level.qwen3(ends=True),
        "roberta": lambda: byte_level.roberta(with_mask=True),
        "roberta-no-mask": lambda: byte_level.roberta(with_mask=False),
        "unigram": unigram.xlm_roberta,
        "wordpiece-cased": lambda: wordpiece.wordpiece(lowercase=False),
        "wordpiece-uncased": lambda: wordpiece.wordpiece(lowercase=True),
    }
    tokenizer = makers[kind]()
    for token in added:
        known = tokenizer.ids.get(token)
        index = tokenizer.size if known is None else known
        tokenizer.json["added_tokens"].append(added_token(index, token, special=special, normalized=not special))
    tokenizer.json["added_tokens"].sort(key=lambda entry: entry["id"])
    return tokenizer
