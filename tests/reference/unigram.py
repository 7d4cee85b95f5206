"""Unigram vocabularies, and SentencePiece's own file of one."""

from __future__ import annotations

import math
import string
import struct
from collections import Counter
from functools import cache
from typing import Any

from .texts import CORPUS
from .tokenizer_file import ROBERTA_SPECIAL, Tokenizer, added_token, file_of, framed, ranked


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
    longer = ranked(Counter({piece: count for piece, count in counts.items() if len(piece) > 1}), 1100)
    pieces = dict.fromkeys([*longer, *characters])
    total = sum(counts.values())
    return tuple((piece, round(math.log(max(counts[piece], 0.5) / total), 6)) for piece in pieces)


def xlm_roberta() -> Tokenizer:
    """XLM-R: <s> <pad> </s> <unk>, the pieces, <mask> last."""
    special = ("<s>", "<pad>", "</s>", "<unk>")
    return Tokenizer(
        json=_json(special, "<mask>", first="<s>", last="</s>", unknown="<unk>"),
        special=ROBERTA_SPECIAL,
        tokenizer_class="XLMRobertaTokenizer",
        input_names=("input_ids", "attention_mask"),
    )


def albert() -> Tokenizer:
    """ALBERT: <pad> <unk> [CLS] [SEP], the pieces, [MASK] last; token types."""
    return Tokenizer(
        json=_json(("<pad>", "<unk>", "[CLS]", "[SEP]"), "[MASK]", first="[CLS]", last="[SEP]", unknown="<unk>"),
        special=_BERT_SPECIAL | {"unk_token": "<unk>", "pad_token": "<pad>"},
        tokenizer_class="PreTrainedTokenizerFast",
        input_names=("input_ids", "token_type_ids", "attention_mask"),
    )


def deberta() -> Tokenizer:
    """DeBERTa of the second and third version: [PAD] [CLS] [SEP] [UNK], the pieces, [MASK] last.

    Normalised as transformers 5 writes it, whatever the checkpoint was trained with.
    """
    content = _json(("[PAD]", "[CLS]", "[SEP]", "[UNK]"), "[MASK]", first="[CLS]", last="[SEP]", unknown="[UNK]")
    blanks = {"type": "Replace", "pattern": {"Regex": "\\s{2,}|[\\n\\r\\t]"}, "content": " "}
    strip = {"type": "Strip", "strip_left": False, "strip_right": True}
    content["normalizer"] = {"type": "Sequence", "normalizers": [blanks, {"type": "NFC"}, strip]}
    content["pre_tokenizer"]["pretokenizers"] = content["pre_tokenizer"]["pretokenizers"][1:]
    return Tokenizer(
        json=content,
        special=_BERT_SPECIAL,
        tokenizer_class="DebertaV2Tokenizer",
        input_names=("input_ids", "token_type_ids", "attention_mask"),
        extra_config={"do_lower_case": False, "split_by_punct": False, "vocab_type": "spm"},
    )


_BERT_SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


def _json(special: tuple[str, ...], mask: str, *, first: str, last: str, unknown: str) -> dict[str, Any]:
    scored = [*((token, 0.0) for token in special), *_unigram_pieces(), (mask, 0.0)]
    ids = {piece: index for index, (piece, _) in enumerate(scored)}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return file_of(
        [
            *(added_token(ids[token], token) for token in special),
            added_token(ids[mask], mask, lstrip=True),
        ],
        normalizer=None,
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        post_processor=framed(first, last, ids),
        decoder=metaspace,
        model={
            "type": "Unigram",
            "unk_id": ids[unknown],
            "vocab": [list(entry) for entry in scored],
            "byte_fallback": False,
        },
    )


def sentencepiece_model(tokenizer: Tokenizer) -> bytes:
    """The pieces of a Unigram tokenizer as SentencePiece saves them (a protobuf `ModelProto`), the mask left out."""
    control = {tokenizer.special[role] for role in ("pad_token", "cls_token", "sep_token")}
    numbers = {tokenizer.special["unk_token"]: 2} | dict.fromkeys(control, 3)
    pieces = [
        (str(p), float(score)) for p, score in tokenizer.json["model"]["vocab"] if p != tokenizer.special["mask_token"]
    ]
    listed = b"".join(
        _field(1, _field(1, piece.encode()) + b"\x15" + struct.pack("<f", score) + _number(3, numbers.get(piece, 1)))
        for piece, score in pieces
    )
    ids = {piece: index for index, (piece, _) in enumerate(pieces)}
    roles = ((40, "unk_token"), (41, "cls_token"), (42, "sep_token"), (43, "pad_token"))
    names = ((45, "unk_token"), (46, "cls_token"), (47, "sep_token"), (48, "pad_token"))
    trainer = _number(3, 1)  # Unigram
    trainer += b"".join(_number(field, ids[tokenizer.special[role]]) for field, role in roles)
    trainer += b"".join(_field(field, tokenizer.special[role].encode()) for field, role in names)
    normalizer = _field(1, b"identity") + _number(3, 1) + _number(4, 1) + _number(5, 1)
    return listed + _field(2, trainer) + _field(3, normalizer)


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content
