"""A checkpoint's tokenizer: loaded as in the reference, resolved to ids, written as one ``tokenizer.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, DebertaV2TokenizerFast, PretrainedConfig, PreTrainedTokenizerFast

from latelite.manifest import Settings, TokenIds
from latelite_export import sentencepiece_file
from latelite_export.checkpoint import Checkpoint, SkipPolicy, first_line, read_json
from latelite_export.errors import IncompleteCheckpointError, RemoteCodeError, UnsupportedCheckpointError
from latelite_export.silence import silence

CONFIG = "tokenizer_config.json"
_FILES = ("tokenizer.json", "vocab.txt", "vocab.json")
_SENTENCEPIECE = ("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model", "bpe.codes")
"""Vocabulary files from which transformers can build a fast tokenizer with another library's help."""
_GENERIC = ("TokenizersBackend", "PreTrainedTokenizer", "PreTrainedTokenizerFast")
"""Classes that only wrap tokenizer.json; transformers 4 does not know the first, which is transformers 5's name."""
_PROBES = (
    "The quick brown fox jumps over the lazy dog's back, 3.14 times (or 2,000)!",
    "Größe, Maß und Übermut: die STRASSE ist zu eng. L'été à Évian, mañana en São Paulo, één café",
    " leading,  double  and trailing blanks \t\n tabs ",
    "don't e-mail foo_bar@example.com: https://example.com/a?b=c#d <b>&amp;</b> {x: [1, 2]}",
    "e\u0301 \ufb01 \u00a0 \u200b \u2026 \u2014 \u20ac \u00df \u0130 \u03a3\u03c2",
    "\u4e2d\u6587 \u65e5\u672c\u8a9e \u0440\u0443\u0441\u0441\u043a\u0438\u0439",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0939\u093f \U0001f600",
    "Donaudampfschifffahrtsgesellschaftskapitän internationalisation 12345678901234567890",
    "[CLS] [SEP] [MASK] <s> </s> <mask> [Q] [D] [unused0] ##ing",
)
"""Texts that `fingerprint` tokenizes: case, accents, spaces, scripts, digits, special tokens as text."""
_SPECIAL = ("unk_token", "bos_token", "eos_token", "sep_token", "cls_token", "pad_token", "mask_token")


@dataclass(frozen=True)
class CheckpointTokenizer:
    """The reference's tokenizer, and the bundle's."""

    reference: PreTrainedTokenizerFast
    """As loaded by transformers, with the prefixes added; used by the PyTorch side of the gate."""
    json: str
    """Content of the bundle's ``tokenizer.json``, without truncation and padding."""
    ids: TokenIds
    emits_token_type_ids: bool
    notes: tuple[str, ...] = ()
    """Sentences about differences between the installed transformers and the checkpoint's files."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the vocabulary and of the ids of a few difficult texts: independent of how the installed library
        serialises a tokenizer.
        """
        tokenizer = Tokenizer.from_str(self.json)
        vocabulary = sorted(tokenizer.get_vocab(with_added_tokens=True).items())
        ids = [tokenizer.encode(text).ids for text in _PROBES]
        return hashlib.sha256(json.dumps([vocabulary, ids]).encode()).hexdigest()


def load(
    checkpoint: Checkpoint, config: PretrainedConfig | None = None, *, trust_remote_code: bool = False
) -> CheckpointTokenizer:
    """Load the tokenizer and resolve every token that the settings name.

    Args:
        checkpoint: settings, and locations of the files.
        config: the encoder's; transformers infers the tokenizer class from it if no file names one.
        trust_remote_code: run the checkpoint's own tokenizer code.

    Raises:
        UnsupportedCheckpointError: the tokenizer has no fast form, or no token to expand queries with.
        IncompleteCheckpointError: a prefix is not in the vocabulary, so its embedding would be randomly initialised.
        RemoteCodeError: the tokenizer needs the checkpoint's own code.
    """
    reference, notes = _reference(checkpoint.tokenizer, config, trust_remote_code=trust_remote_code)
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
        notes=notes,
    )


def _reference(
    folder: Path, encoder: PretrainedConfig | None, *, trust_remote_code: bool
) -> tuple[PreTrainedTokenizerFast, tuple[str, ...]]:
    """The tokenizer, and notes about it for the user."""
    config = read_json(folder / CONFIG, required=False)
    code = config.get("auto_map")
    if code and not trust_remote_code and "AutoTokenizer" in code:
        raise RemoteCodeError(
            f"{folder / CONFIG} asks for the checkpoint's own tokenizer code; read it, then allow it with "
            "--trust-remote-code."
        )
    pieces = next((name for name in _SENTENCEPIECE if (folder / name).is_file()), None)
    whole = any((folder / name).is_file() for name in _FILES)
    if not whole and pieces is None:
        raise IncompleteCheckpointError(
            f"{folder} holds no tokenizer (looked for {', '.join((*_FILES, *_SENTENCEPIECE))})."
        )
    if not whole and pieces is not None:
        sentencepiece_file.check_installed(folder, pieces)
    try:
        with silence():
            if (folder / "tokenizer.json").is_file() and _is_generic(config):
                tokenizer = _generic(folder, config)
            else:
                tokenizer = AutoTokenizer.from_pretrained(  # type: ignore[no-untyped-call]
                    folder,
                    config=encoder,  # otherwise it reads config.json, and may run code named there
                    use_fast=True,
                    local_files_only=True,
                    trust_remote_code=trust_remote_code,
                )
    except Exception as error:  # each tokenizer class raises its own exceptions
        raise UnsupportedCheckpointError(
            f"the tokenizer in {folder} cannot be loaded in its fast form: {first_line(error)}{_cure(pieces, whole)}"
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedCheckpointError(
            f"the tokenizer in {folder} ({type(tokenizer).__name__}) has no fast form, so it cannot run on a device "
            f"without transformers{_cure(pieces, whole)}."
        )
    backend = _backend(tokenizer, folder)
    if backend is None:
        return tokenizer, ()
    differs = any(backend.encode(text).ids != tokenizer.backend_tokenizer.encode(text).ids for text in _PROBES)
    tokenizer._tokenizer = backend
    note = (
        f"transformers {version('transformers')} rebuilds this tokenizer and tokenizes some texts differently from "
        "the checkpoint's files; the bundle follows the files."
    )
    return tokenizer, (note,) if differs else ()


def _backend(tokenizer: PreTrainedTokenizerFast, folder: Path) -> Tokenizer | None:
    """A Unigram tokenizer as in the checkpoint's files; None if every version of transformers loads it correctly.

    transformers 5 rebuilds Unigram tokenizers from their vocabulary, with a normaliser that depends on the version and
    is not the one of training; 5.3 also loses the special tokens around a text.
    """
    own = json.loads(tokenizer.backend_tokenizer.to_str())
    if own["model"]["type"] != "Unigram":
        return None
    if (folder / "tokenizer.json").is_file():
        written = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # Added tokens may be in another file.
        return written if written.get_vocab() == tokenizer.get_vocab() else None
    if not isinstance(tokenizer, DebertaV2TokenizerFast) or not (folder / "spm.model").is_file():
        return None
    first, last = ((token, tokenizer.get_vocab()[token]) for token in ("[CLS]", "[SEP]"))
    return Tokenizer.from_str(json.dumps(own | sentencepiece_file.pipeline(folder / "spm.model", first, last)))


def _cure(pieces: str | None, whole: bool) -> str:
    """Advice for a checkpoint that has only the SentencePiece file ``pieces``."""
    if pieces is None or whole:
        return ""
    return (
        f"; its only vocabulary is {pieces}: load it once with transformers' AutoTokenizer, where it was trained, "
        "and save it, which writes tokenizer.json"
    )


def _is_generic(config: Mapping[str, Any]) -> bool:
    """Whether ``tokenizer.json`` alone defines the tokenizer, as in checkpoints written by transformers 5."""
    return config.get("tokenizer_class", _GENERIC[0]) in _GENERIC or config.get("backend") == "tokenizers"


def _generic(folder: Path, config: Mapping[str, Any]) -> PreTrainedTokenizerFast:
    """``tokenizer.json``, with the special tokens named by the configuration.

    Built here because transformers 4 knows neither transformers 5's class TokenizersBackend nor its list form of
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
    """Add the prefixes as PyLate does: their letters then become the marker inside a text, too."""
    # Adding a token again would not change how it matches, but would change its flags in tokenizer.json.
    known = {token.content for token in tokenizer.added_tokens_decoder.values()}
    for prefix in (settings.query_prefix, settings.document_prefix):
        if not prefix or prefix in known:
            continue
        before = len(tokenizer)
        tokenizer.add_tokens([prefix])
        if len(tokenizer) != before:
            raise IncompleteCheckpointError(
                f"the prefix {prefix!r} is not in the vocabulary of {checkpoint_id}: its embedding would be randomly "
                "initialised. Either the checkpoint was never trained for late interaction, or its settings name the "
                "wrong prefix; set --query-prefix and --document-prefix."
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
    """Serialise as JSON; the same tokenizer always gives the same text."""
    tokenizer = Tokenizer.from_str(backend.to_str())
    # PyLate saves the truncation and padding of its last call.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
