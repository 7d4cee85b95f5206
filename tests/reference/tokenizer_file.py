"""What the tokenizer files of a tiny checkpoint are made of, whatever kind of pieces it has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

ROBERTA_SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}


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


def added_token(
    index: int, content: str, *, special: bool = True, normalized: bool = False, lstrip: bool = False
) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": lstrip, "rstrip": False, "normalized": normalized, "special": special}
    return {"id": index, "content": content, **flags}


def framed(first: str | None, last: str | None, ids: dict[str, int]) -> dict[str, Any]:
    """`first $A last`, the way that tokenizers frame a text; None: nothing there."""

    def special(token: str | None, type_id: int) -> list[dict[str, Any]]:
        return [] if token is None else [{"SpecialToken": {"id": token, "type_id": type_id}}]

    def sequence(name: str, type_id: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": type_id}}

    one = [*special(first, 0), sequence("A", 0), *special(last, 0)]
    return {
        "type": "TemplateProcessing",
        "single": one,
        "pair": [*one, sequence("B", 1), *special(last, 1)],
        "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in (first, last) if t is not None},
    }


def file_of(added: list[dict[str, Any]], **parts: Any) -> dict[str, Any]:
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, **parts}


def ranked(counts: Counter[str], limit: int) -> list[str]:
    """The most frequent entries; ties in the order of their code points."""
    return sorted(counts, key=lambda token: (-counts[token], token))[:limit]
