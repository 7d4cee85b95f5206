"""WordPiece vocabularies, counted from the corpus."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

from .texts import CORPUS
from .tokenizer_file import ROBERTA_SPECIAL, Tokenizer, added_token, file_of, framed, ranked

_WORD = re.compile(r"\w+|[^\w\s]")


def _plain(text: str, *, lowercase: bool) -> str:
    """BERT's normalisation of letters: lower case and no accents, or nothing."""
    if not lowercase:
        return text
    return "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")


@cache
def _wordpiece_tokens(lowercase: bool) -> tuple[str, ...]:
    """Characters, frequent words, and frequent beginnings, middles and ends of words (with `##`)."""
    words = Counter(_WORD.findall(_plain(" ".join(CORPUS.values()), lowercase=lowercase)))
    ascii_letters = string.ascii_lowercase if lowercase else string.ascii_letters
    characters = sorted({*"".join(words), *ascii_letters, *string.digits, *string.punctuation})
    parts: Counter[str] = Counter()
    for word, count in words.items():
        for length in range(2, 6):
            parts[word[:length]] += count
            for start in range(1, len(word) - length + 1):
                parts["##" + word[start : start + length]] += count
    tokens = [*characters, *(f"##{c}" for c in characters if c.isalnum())]
    tokens += ranked(Counter({word: count for word, count in words.items() if count > 1}), 250)
    tokens += ranked(parts, 700)
    return tuple(dict.fromkeys(tokens))


def _bert_normalizer(*, lowercase: bool) -> dict[str, Any]:
    return {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": lowercase,
    }


def _wordpiece_model(tokens: Iterable[str]) -> dict[str, Any]:
    return {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {token: index for index, token in enumerate(dict.fromkeys(tokens))},
    }


def wordpiece(*, lowercase: bool) -> Tokenizer:
    """BERT: [PAD], some unused tokens, [UNK], [CLS], [SEP], [MASK], then the pieces."""
    special = ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    model = _wordpiece_model(
        ["[PAD]", *(f"[unused{i}]" for i in range(4)), *special, *_wordpiece_tokens(lowercase=lowercase)]
    )
    vocab = model["vocab"]
    return Tokenizer(
        json=file_of(
            [added_token(vocab[token], token) for token in ("[PAD]", *special)],
            normalizer=_bert_normalizer(lowercase=lowercase),
            pre_tokenizer={"type": "BertPreTokenizer"},
            post_processor=framed("[CLS]", "[SEP]", vocab),
            decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
            model=model,
        ),
        special={
            "unk_token": "[UNK]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "cls_token": "[CLS]",
            "mask_token": "[MASK]",
        },
        tokenizer_class="BertTokenizer",
        input_names=("input_ids", "token_type_ids", "attention_mask"),
        extra_config={"do_lower_case": lowercase, "strip_accents": None, "tokenize_chinese_chars": True},
    )


def distilbert() -> Tokenizer:
    """BERT's cased tokenizer, but without token types."""
    bert = wordpiece(lowercase=False)
    return replace(bert, tokenizer_class="DistilBertTokenizer", input_names=("input_ids", "attention_mask"))


def mpnet() -> Tokenizer:
    """MPNet: WordPiece with RoBERTa's names for the special tokens, but BERT's [UNK]."""
    model = _wordpiece_model(
        ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", *_wordpiece_tokens(lowercase=True), "[unused0]", "<mask>"]
    )
    vocab = model["vocab"]
    plain = [added_token(vocab[token], token) for token in ("<s>", "<pad>", "</s>", "[UNK]")]
    return Tokenizer(
        json=file_of(
            [*plain, added_token(vocab["<mask>"], "<mask>", lstrip=True)],
            normalizer=_bert_normalizer(lowercase=True),
            pre_tokenizer={"type": "BertPreTokenizer"},
            post_processor=framed("<s>", "</s>", vocab),
            decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
            model=model,
        ),
        special={**ROBERTA_SPECIAL, "unk_token": "[UNK]"},
        tokenizer_class="MPNetTokenizer",
        input_names=("input_ids", "attention_mask"),
        extra_config={"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True},
    )
