"""Small tokenizers as plain `tokenizer.json` contents, counted from the corpus by the code below.

No trainer of any library takes part, so the same bytes come out everywhere. Each builder returns a `Tokenizer`: the
JSON and the special tokens that the other tokenizer files of a checkpoint repeat.
"""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import Any, Literal

from .texts import CORPUS

Kind = Literal[
    "wordpiece-uncased", "wordpiece-cased", "distilbert", "mpnet", "unigram", "roberta", "roberta-no-mask", "modernbert"
]

_WORD = re.compile(r"\w+|[^\w\s]")
_BPE_WORD = re.compile(r" ?[^\W\d_]+| ?\d+| ?[^\s\w]+")


@dataclass(frozen=True)
class Tokenizer:
    """What the tokenizer files of a checkpoint are written from."""

    json: dict[str, Any]
    """`tokenizer.json`, without the blocks for truncation and padding."""
    special: dict[str, str]
    """Role -> token, e.g. `{"cls_token": "[CLS]"}`."""
    tokenizer_class: str
    input_names: tuple[str, ...]
    extra_config: dict[str, Any] = field(default_factory=dict)
    """Further keys of `tokenizer_config.json`."""

    @property
    def size(self) -> int:
        """Number of ids, added tokens included."""
        return 1 + max(*self.ids.values())

    @property
    def ids(self) -> dict[str, int]:
        """Token -> id, added tokens included."""
        vocab = self.json["model"]["vocab"]
        ids = dict(vocab) if isinstance(vocab, dict) else {piece: index for index, (piece, _) in enumerate(vocab)}
        return ids | {token["content"]: token["id"] for token in self.json["added_tokens"]}


def build(kind: Kind, added: Iterable[str] = (), *, special: bool = False) -> Tokenizer:
    """The tokenizer of one kind, with further tokens added the way that prefixes are.

    Args:
        kind: Which family.
        added: Tokens that get the next free ids; those in the vocabulary keep their id.
        special: As Sentence Transformers 6 adds them: special, found in the text as it is. PyLate's are neither: they
            are found, normalised themselves, in the normalised text.
    """
    tokenizer = {
        "wordpiece-uncased": lambda: _wordpiece(lowercase=True),
        "wordpiece-cased": lambda: _wordpiece(lowercase=False),
        "distilbert": _distilbert,
        "mpnet": _mpnet,
        "unigram": _unigram,
        "roberta": lambda: _roberta(with_mask=True),
        "roberta-no-mask": lambda: _roberta(with_mask=False),
        "modernbert": _modernbert,
    }[kind]()
    for token in added:
        known = tokenizer.ids.get(token)
        index = tokenizer.size if known is None else known
        tokenizer.json["added_tokens"].append(_added(index, token, special=special, normalized=not special))
    tokenizer.json["added_tokens"].sort(key=lambda entry: entry["id"])
    return tokenizer


def _added(
    index: int, content: str, *, special: bool = True, normalized: bool = False, lstrip: bool = False
) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": lstrip, "rstrip": False, "normalized": normalized, "special": special}
    return {"id": index, "content": content, **flags}


def _ranked(counts: Counter[str], limit: int) -> list[str]:
    """The most frequent entries; ties in the order of their code points."""
    return sorted(counts, key=lambda token: (-counts[token], token))[:limit]


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
    tokens += _ranked(Counter({word: count for word, count in words.items() if count > 1}), 250)
    tokens += _ranked(parts, 700)
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


def _template(first: str, last: str, ids: dict[str, int]) -> dict[str, Any]:
    """`first $A last`, the way that BERT-like tokenizers frame a text."""

    def special(token: str, type_id: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": token, "type_id": type_id}}

    def sequence(name: str, type_id: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": type_id}}

    return {
        "type": "TemplateProcessing",
        "single": [special(first, 0), sequence("A", 0), special(last, 0)],
        "pair": [special(first, 0), sequence("A", 0), special(last, 0), sequence("B", 1), special(last, 1)],
        "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in (first, last)},
    }


def _file(added: list[dict[str, Any]], **parts: Any) -> dict[str, Any]:
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, **parts}


def _wordpiece(*, lowercase: bool) -> Tokenizer:
    """BERT: [PAD], some unused tokens, [UNK], [CLS], [SEP], [MASK], then the pieces."""
    special = ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    model = _wordpiece_model(
        ["[PAD]", *(f"[unused{i}]" for i in range(4)), *special, *_wordpiece_tokens(lowercase=lowercase)]
    )
    vocab = model["vocab"]
    return Tokenizer(
        json=_file(
            [_added(vocab[token], token) for token in ("[PAD]", *special)],
            normalizer=_bert_normalizer(lowercase=lowercase),
            pre_tokenizer={"type": "BertPreTokenizer"},
            post_processor=_template("[CLS]", "[SEP]", vocab),
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


def _distilbert() -> Tokenizer:
    """BERT's cased tokenizer, but without token types."""
    bert = _wordpiece(lowercase=False)
    return replace(bert, tokenizer_class="DistilBertTokenizer", input_names=("input_ids", "attention_mask"))


def _mpnet() -> Tokenizer:
    """MPNet: WordPiece with RoBERTa's names for the special tokens, but BERT's [UNK]."""
    model = _wordpiece_model(
        ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", *_wordpiece_tokens(lowercase=True), "[unused0]", "<mask>"]
    )
    vocab = model["vocab"]
    plain = [_added(vocab[token], token) for token in ("<s>", "<pad>", "</s>", "[UNK]")]
    return Tokenizer(
        json=_file(
            [*plain, _added(vocab["<mask>"], "<mask>", lstrip=True)],
            normalizer=_bert_normalizer(lowercase=True),
            pre_tokenizer={"type": "BertPreTokenizer"},
            post_processor=_template("<s>", "</s>", vocab),
            decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
            model=model,
        ),
        special={**_ROBERTA_SPECIAL, "unk_token": "[UNK]"},
        tokenizer_class="MPNetTokenizer",
        input_names=("input_ids", "attention_mask"),
        extra_config={"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True},
    )


_ROBERTA_SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}


@cache
def _unigram_pieces() -> tuple[tuple[str, float], ...]:
    """Pieces with the logarithm of their relative frequency; `▁` marks the beginning of a word."""
    counts: Counter[str] = Counter()
    for word, count in Counter(" ".join(CORPUS.values()).split()).items():
        marked = "▁" + word
        if count > 1:
            counts[marked] += count * len(marked)
        for length in range(1, 6):
            for start in range(len(marked) - length + 1):
                counts[marked[start : start + length]] += count
    printable = string.ascii_letters + string.digits + string.punctuation
    characters = sorted({*"▁", *printable, *"".join(CORPUS.values()).replace(" ", "")})
    longer = _ranked(Counter({piece: count for piece, count in counts.items() if len(piece) > 1}), 1100)
    pieces = dict.fromkeys([*longer, *characters])
    total = sum(counts.values())
    return tuple((piece, round(math.log(max(counts[piece], 0.5) / total), 6)) for piece in pieces)


def _unigram() -> Tokenizer:
    """XLM-R: <s> <pad> </s> <unk>, the pieces, <mask> last."""
    special = ("<s>", "<pad>", "</s>", "<unk>")
    scored = [*((token, 0.0) for token in special), *_unigram_pieces(), ("<mask>", 0.0)]
    ids = {piece: index for index, (piece, _) in enumerate(scored)}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return Tokenizer(
        json=_file(
            [
                *(_added(ids[token], token) for token in special),
                _added(ids["<mask>"], "<mask>", lstrip=True),
            ],
            normalizer=None,
            pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
            post_processor=_template("<s>", "</s>", ids),
            decoder=metaspace,
            model={"type": "Unigram", "unk_id": 3, "vocab": [list(entry) for entry in scored], "byte_fallback": False},
        ),
        special=_ROBERTA_SPECIAL,
        tokenizer_class="XLMRobertaTokenizer",
        input_names=("input_ids", "attention_mask"),
    )


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
    counted = Counter(word for text in CORPUS.values() for word in _BPE_WORD.findall(text))
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


def _roberta(*, with_mask: bool) -> Tokenizer:
    """RoBERTa: <s> <pad> </s> <unk>, byte-level pieces, <mask> last (or none, as decoder-born encoders have it)."""
    names = ["<s>", "<pad>", "</s>", "<unk>", *_bpe()[0], *(["<mask>"] if with_mask else [])]
    vocab = {token: index for index, token in enumerate(names)}
    added = [_added(vocab[token], token) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    if with_mask:
        added.append(_added(vocab["<mask>"], "<mask>", lstrip=True))
    framing = {"sep": ["</s>", vocab["</s>"]], "cls": ["<s>", vocab["<s>"]]}
    return Tokenizer(
        json=_file(
            added,
            post_processor={"type": "RobertaProcessing", **framing, "trim_offsets": True, "add_prefix_space": False},
            **_bpe_parts(vocab, None),
        ),
        special={role: token for role, token in _ROBERTA_SPECIAL.items() if with_mask or role != "mask_token"},
        # RoBERTa's own class would bring the mask token back.
        tokenizer_class="RobertaTokenizer" if with_mask else "PreTrainedTokenizerFast",
        input_names=("input_ids", "attention_mask"),
        extra_config={"add_prefix_space": False, "trim_offsets": True},
    )


def _modernbert() -> Tokenizer:
    """ModernBERT: byte-level pieces first, BERT's special tokens behind them."""
    names = [*_bpe()[0], "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    vocab = {token: index for index, token in enumerate(names)}
    added = [_added(vocab[token], token, lstrip=token == "[MASK]") for token in names[-5:]]
    parts = _bpe_parts({token: index for token, index in vocab.items() if index < len(vocab) - 5}, None)
    parts["normalizer"] = {"type": "NFC"}
    return Tokenizer(
        json=_file(added, post_processor=_template("[CLS]", "[SEP]", vocab), **parts),
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
