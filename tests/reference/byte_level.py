"""Byte-level BPE vocabularies, merged from the corpus."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

from .texts import CORPUS
from .tokenizer_file import ROBERTA_SPECIAL, Tokenizer, added_token, file_of, framed

_WORD_OR_BLANK = re.compile(r" ?[^\W\d_]+| ?\d+| ?[^\s\w]+")


def _byte_letters() -> dict[int, str]:
    """GPT-2's printable letter for each byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + rank) for rank, byte in enumerate(others)}


@cache
def _bpe(merges_wanted: int = 400) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Byte-level BPE by the book: merge the most frequent pair, again and again; ties by the pair itself.

    Returns:
        The tokens (256 letters, then one per merge) and the merges.
    """
    letters = _byte_letters()
    counted = Counter(word for text in CORPUS.values() for word in _WORD_OR_BLANK.findall(text))
    words = [([letters[byte] for byte in word.encode()], count) for word, count in sorted(counted.items())]
    merges: list[tuple[str, str]] = []
    while len(merges) < merges_wanted:
        pairs: Counter[tuple[str, str]] = Counter()
        for parts, count in words:
            for pair in pairwise(parts):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        joined = "".join(best)
        for parts, _ in words:
            position = 0
            while position < len(parts) - 1:
                if (parts[position], parts[position + 1]) == best:
                    parts[position : position + 2] = [joined]
                position += 1
    tokens = dict.fromkeys([*(letters[byte] for byte in range(256)), *("".join(pair) for pair in merges)])
    return tuple(tokens), tuple(merges)


def _bpe_parts(vocab: dict[str, int], unknown: str | None) -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [list(pair) for pair in _bpe()[1]],
        },
    }


def roberta(*, with_mask: bool) -> Tokenizer:
    """RoBERTa: <s> <pad> </s> <unk>, byte-level pieces, <mask> last (or none, as decoder-born encoders have it)."""
    names = ["<s>", "<pad>", "</s>", "<unk>", *_bpe()[0], *(["<mask>"] if with_mask else [])]
    vocab = {token: index for index, token in enumerate(names)}
    added = [added_token(vocab[token], token) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    if with_mask:
        added.append(added_token(vocab["<mask>"], "<mask>", lstrip=True))
    framing = {"sep": ["</s>", vocab["</s>"]], "cls": ["<s>", vocab["<s>"]]}
    return Tokenizer(
        json=file_of(
            added,
            post_processor={"type": "RobertaProcessing", **framing, "trim_offsets": True, "add_prefix_space": False},
            **_bpe_parts(vocab, None),
        ),
        special={role: token for role, token in ROBERTA_SPECIAL.items() if with_mask or role != "mask_token"},
        # RoBERTa's own class would bring the mask token back.
        tokenizer_class="RobertaTokenizer" if with_mask else "PreTrainedTokenizerFast",
        input_names=("input_ids", "attention_mask"),
        extra_config={"add_prefix_space": False, "trim_offsets": True},
    )


def modernbert() -> Tokenizer:
    """ModernBERT: byte-level pieces first, BERT's special tokens behind them."""
    names = [*_bpe()[0], "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    vocab = {token: index for index, token in enumerate(names)}
    added = [added_token(vocab[token], token, lstrip=token == "[MASK]") for token in names[-5:]]
    parts = _bpe_parts({token: index for token, index in vocab.items() if index < len(vocab) - 5}, None)
    parts["normalizer"] = {"type": "NFC"}
    return Tokenizer(
        json=file_of(added, post_processor=framed("[CLS]", "[SEP]", vocab), **parts),
        special={
            "unk_token": "[UNK]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "cls_token": "[CLS]",
            "mask_token": "[MASK]",
        },
        tokenizer_class="PreTrainedTokenizerFast",
        input_names=("input_ids", "attention_mask"),
    )


def qwen3(*, ends: bool) -> Tokenizer:
    """Qwen3: byte-level pieces, then <|endoftext|> <|im_start|> <|im_end|>; nothing around a text.

    Args:
        ends: put <|endoftext|> behind a text, as the embedding models' tokenizer does.
    """
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    vocab = {token: index for index, token in enumerate((*_bpe()[0], *special))}
    parts = _bpe_parts({token: index for token, index in vocab.items() if token not in special}, None)
    parts["normalizer"] = {"type": "NFC"}
    return Tokenizer(
        json=file_of(
            [added_token(vocab[token], token) for token in special],
            post_processor=framed(None, special[0], vocab) if ends else parts["pre_tokenizer"],
            **parts,
        ),
        special={"eos_token": special[2], "pad_token": special[0]},
        tokenizer_class="PreTrainedTokenizerFast" if ends else "Qwen2Tokenizer",
        input_names=("input_ids", "attention_mask"),
    )


def lfm2() -> Tokenizer:
    """LFM2: <|pad|> <|startoftext|> <|endoftext|> <|im_end|>, byte-level pieces; <|startoftext|> in front of a text."""
    special = ("<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|im_end|>")
    vocab = {token: index for index, token in enumerate((*special, *_bpe()[0]))}
    return Tokenizer(
        json=file_of(
            [added_token(vocab[token], token) for token in special],
            post_processor=framed(special[1], None, vocab),
            **_bpe_parts(vocab, None),
        ),
        special={"bos_token": special[1], "eos_token": special[3], "pad_token": special[0]},
        tokenizer_class="PreTrainedTokenizerFast",
        input_names=("input_ids", "attention_mask"),
    )
