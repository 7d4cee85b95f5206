"""A checkpoint's tokenizer: read as the reference reads it, resolved to ids, written as one ``tokenizer.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from latelite.manifest import Settings, TokenIds
from latelite_export.checkpoint import Checkpoint, SkipPolicy, read_json
from latelite_export.errors import IncompleteCheckpointError, RemoteCodeError, UnsupportedCheckpointError
from latelite_export.silence import silence

CONFIG = "tokenizer_config.json"
_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model")
_GENERIC = ("TokenizersBackend", "PreTrainedTokenizer", "PreTrainedTokenizerFast")
"""Classes that stand for "what tokenizer.json says"; the first is transformers 5's name, unknown to transformers 4."""
_SPECIAL = ("unk_token", "bos_token", "eos_token", "sep_token", "cls_token", "pad_token", "mask_token")


@dataclass(frozen=True)
class CheckpointTokenizer:
    """The reference's tokenizer object and what this project makes of it."""

    reference: PreTrainedTokenizerFast
    """As transformers loads it, prefixes added; the PyTorch side of the gate tokenizes with it."""
    json: str
    """Content of the bundle's ``tokenizer.json``, without truncation and padding."""
    ids: TokenIds
    emits_token_type_ids: bool


def load(checkpoint: Checkpoint, *, trust_remote_code: bool = False) -> CheckpointTokenizer:
    """Load the tokenizer and resolve every token that the settings name.

    Raises:
        UnsupportedCheckpointError: the tokenizer has no fast form, or no token that could pad a query.
        IncompleteCheckpointError: a prefix is not in the vocabulary, so its embedding would be freshly initialised.
        RemoteCodeError: the tokenizer is Python code of the checkpoint's own.
    """
    reference = _reference(checkpoint.tokenizer, trust_remote_code=trust_remote_code)
    settings = checkpoint.settings
    _register_prefixes(reference, settings, checkpoint.id)
    padding = _padding(reference, checkpoint)
    ids = TokenIds(
        query_prefix=_token_id(reference, settings.query_prefix),
        document_prefix=_token_id(reference, settings.document_prefix),
        padding=padding,
        skiplist=_skiplist(reference, settings.skiplist_words, checkpoint.skip_policy),
    )
    return CheckpointTokenizer(
        reference=reference,
        json=_portable(reference.backend_tokenizer),
        ids=ids,
        emits_token_type_ids="token_type_ids" in reference("a"),
    )


def _reference(folder: Path, *, trust_remote_code: bool) -> PreTrainedTokenizerFast:
    config = read_json(folder / CONFIG, required=False)
    if "AutoTokenizer" in config.get("auto_map", {}) and not trust_remote_code:
        raise RemoteCodeError(
            f"{folder / CONFIG} wants to run the checkpoint's own tokenizer code; read it, then allow it with "
            "--trust-remote-code."
        )
    if not any((folder / name).is_file() for name in _FILES):
        raise IncompleteCheckpointError(f"{folder} holds no tokenizer (looked for {', '.join(_FILES)}).")
    try:
        with silence():
            if (folder / "tokenizer.json").is_file() and _is_generic(config):
                tokenizer = _generic(folder, config)
            else:
                tokenizer = AutoTokenizer.from_pretrained(  # type: ignore[no-untyped-call]
                    folder, use_fast=True, local_files_only=True, trust_remote_code=trust_remote_code
                )
    except (OSError, ValueError, ImportError, KeyError, AttributeError) as error:
        raise UnsupportedCheckpointError(
            f"the tokenizer in {folder} cannot be loaded in its fast form: {_first_line(error)}"
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedCheckpointError(
            f"the tokenizer in {folder} ({type(tokenizer).__name__}) has no fast form, so it cannot run on a device "
            "without transformers."
        )
    return tokenizer


def _is_generic(config: Mapping[str, Any]) -> bool:
    """Whether ``tokenizer.json`` alone decides, as it does wherever transformers 5 wrote the configuration."""
    return config.get("tokenizer_class", _GENERIC[0]) in _GENERIC or config.get("backend") == "tokenizers"


def _generic(folder: Path, config: Mapping[str, Any]) -> PreTrainedTokenizerFast:
    """``tokenizer.json`` as it is, with the special tokens that the configuration names.

    Built by hand: transformers 4 knows neither the class name TokenizersBackend of transformers 5 nor its list form of
    ``extra_special_tokens``.
    """
    special = {**read_json(folder / "special_tokens_map.json", required=False), **config}
    names = {
        name: value["content"] if isinstance(value, Mapping) else value
        for name in _SPECIAL
        if (value := special.get(name)) is not None
    }
    more = {"model_input_names": config["model_input_names"]} if "model_input_names" in config else {}
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_file(str(folder / "tokenizer.json")), **names, **more
    )


def _register_prefixes(tokenizer: PreTrainedTokenizerFast, settings: Settings, checkpoint_id: str) -> None:
    """Add the prefixes as PyLate does: from then on, the same letters inside a text become the marker."""
    # Adding a token again leaves its matching as it was but changes the flags that are written to tokenizer.json.
    known = {token.content for token in tokenizer.added_tokens_decoder.values()}
    for prefix in (settings.query_prefix, settings.document_prefix):
        if not prefix or prefix in known:
            continue
        before = len(tokenizer)
        tokenizer.add_tokens([prefix])
        if len(tokenizer) != before:
            raise IncompleteCheckpointError(
                f"the prefix {prefix!r} is not in the vocabulary of {checkpoint_id}: its embedding would be freshly "
                "initialised; this is a checkpoint that was never trained as a late-interaction model, or its "
                "settings name the wrong prefix."
            )


def _padding(tokenizer: PreTrainedTokenizerFast, checkpoint: Checkpoint) -> int:
    if checkpoint.expansion_token is not None:
        candidates = [tokenizer.get_vocab().get(checkpoint.expansion_token)]
    else:
        candidates = [tokenizer.mask_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    found = next((candidate for candidate in candidates if candidate is not None), None)
    if found is None:
        wanted = checkpoint.expansion_token or "mask, end-of-text or padding token"
        raise UnsupportedCheckpointError(f"the tokenizer of {checkpoint.id} has no {wanted} to expand queries with.")
    return int(found)


def _token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int | None:
    return tokenizer.get_vocab()[token] if token else None


def _skiplist(tokenizer: PreTrainedTokenizerFast, words: tuple[str, ...], policy: SkipPolicy) -> tuple[int, ...]:
    vocabulary = tokenizer.get_vocab()
    ids = {vocabulary.get(word, tokenizer.unk_token_id if policy == "unk" else None) for word in words}
    return tuple(sorted(i for i in ids if i is not None))


def _portable(backend: Tokenizer) -> str:
    """One JSON text, always the same for the same tokenizer."""
    tokenizer = Tokenizer.from_str(backend.to_str())
    # PyLate leaves in the file the truncation and padding of whatever it encoded last.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
