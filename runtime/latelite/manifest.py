"""The bundle's manifest: all of a checkpoint's settings, resolved at export.

This module is the contract between the exporter, which writes manifests, and the runtime, which reads them. It imports
only the standard library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from latelite.errors import BundleCorruptError, BundleNotFoundError, BundleVersionError

FORMAT = "latelite-bundle"
FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.json"
MODEL_GROUP = "latelite.models"
"""Entry point group of installed bundles: model name -> package whose folder is the bundle."""

_DECISIVE = (
    "query_prefix",
    "document_prefix",
    "query_length",
    "document_length",
    "do_query_expansion",
    "attend_to_expansion_tokens",
    "strip",
    "do_lower_case",
    "prompts",
    "default_prompt_name",
)
"""Settings that vectors depend on, listed explicitly so that new settings do not change fingerprints. The words of the
skiplist are not listed, because their ids decide."""

_MAX_LEXICAL_WEIGHT = 100
LEXICAL_WEIGHT = 0.35
"""Default for bundles without a weight: chosen by `benchmarks/hybrid.py` with the default model, on one half of the
questions of nineteen sets."""

Precision = Literal["fp32", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class FileEntry:
    """Size and checksum of one file of the bundle."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Graph:
    """One ONNX file: int64 ids in, L2-normalised token vectors out."""

    file: str
    """File name inside the bundle."""
    scheme: str
    """How weights and activations are stored, e.g. ``"fp32"`` or ``"int8"``."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Quantisation settings, and which products stayed in fp32."""


@dataclass(frozen=True)
class Settings:
    """The reference's settings, under PyLate's names."""

    query_prefix: str
    document_prefix: str
    query_length: int
    """Maximum tokens of a query, special tokens and prefix included."""
    document_length: int
    """Maximum tokens of a document, special tokens and prefix included."""
    do_query_expansion: bool
    attend_to_expansion_tokens: bool
    strip: bool
    """Whether to strip white space before tokenizing, as PyLate does and Sentence Transformers 6 does not."""
    do_lower_case: bool
    skiplist_words: tuple[str, ...]
    prompts: Mapping[str, str]
    """Name -> text that is prepended to the input."""
    default_prompt_name: str | None


@dataclass(frozen=True)
class TokenIds:
    """Settings resolved to ids of this bundle's tokenizer."""

    query_prefix: int | None
    """Inserted at position 1 of a query; None if the prefix is empty."""
    document_prefix: int | None
    padding: int
    """Expands queries: the mask token, else eos, else pad."""
    skiplist: tuple[int, ...]
    """Document tokens with these ids are dropped after encoding."""


@dataclass(frozen=True)
class Manifest:
    """The content of ``manifest.json``."""

    checkpoint: Mapping[str, Any]
    """``id``, ``revision``, ``layout``, ``architecture``, ``weights_sha256`` and ``tokenizer_sha256`` of the source,
    and ``notes`` about what it declares and the export did not follow."""
    dim: int
    max_positions: int
    """Maximum length in tokens that the encoder accepts."""
    settings: Settings
    sources: Mapping[str, str]
    """Setting -> the argument, file or default that it came from."""
    token_ids: TokenIds
    inputs: tuple[str, ...]
    """Graph inputs in order: ``input_ids``, then ``attention_mask`` and ``token_type_ids`` if the graph needs them; all
    int64 (texts, tokens)."""
    output: str
    """Graph output: float32 of shape (texts, tokens, dim)."""
    opset: int
    minimum_onnxruntime: str
    graphs: Mapping[str, Graph]
    """Precision -> graph."""
    files: Mapping[str, FileEntry]
    toolchain: Mapping[str, str]
    """Package -> version, at export."""
    verification: Mapping[str, Any]
    """The gate's report."""
    lexical_weight: float = LEXICAL_WEIGHT
    """Weight of the lexical score in hybrid search, relative to MaxSim / query tokens; see `latelite.search`."""

    @property
    def fingerprint(self) -> str:
        """Identifies the vector space: a hash of weights, tokenizer and settings, but not of precision or graph.

        An index stores it and refuses vectors of another model. An int8 and an fp32 session, or a re-export of the same
        checkpoint with newer libraries, can share an index.
        """
        if "tokenizer_sha256" not in self.checkpoint:  # an older bundle
            decisive = {
                "weights": self.checkpoint["weights_sha256"],
                "tokenizer": self.files[TOKENIZER_NAME].sha256,
                "dim": self.dim,
                "settings": asdict(self.settings),
                "token_ids": asdict(self.token_ids),
            }
        else:
            settings = asdict(self.settings)
            decisive = {
                "weights": self.checkpoint["weights_sha256"],
                "tokenizer": self.checkpoint["tokenizer_sha256"],
                "dim": self.dim,
                "settings": {name: settings[name] for name in _DECISIVE},
                "token_ids": asdict(self.token_ids),
            }
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    def only(self, precision: Precision) -> Manifest:
        """The manifest without the other graphs; the fingerprint stays the same."""
        others = {graph.file for name, graph in self.graphs.items() if name != precision}
        return replace(
            self,
            graphs={precision: self.graphs[precision]},
            files={name: entry for name, entry in self.files.items() if name not in others},
        )

    def to_json(self) -> str:
        """Serialise as JSON; the same manifest always gives the same bytes."""
        content = {"format": FORMAT, "format_version": FORMAT_VERSION, "fingerprint": self.fingerprint} | asdict(self)
        return json.dumps(content, indent=2, ensure_ascii=False, sort_keys=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read ``folder/manifest.json``.

        Raises:
            BundleNotFoundError: the folder or its manifest is missing.
            BundleVersionError: it has another format version.
            BundleCorruptError: it is not a complete manifest.
        """
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise BundleNotFoundError(
                f"{folder} is not a bundle: it has no {MANIFEST_NAME}. Make one with "
                f"`latelite-export CHECKPOINT -o {folder}` or `make export`."
            )
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BundleCorruptError(f"{path} is not valid JSON ({error}); export the bundle again.") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise BundleCorruptError(f"{path} is not the manifest of a {FORMAT}.")
        if content.get("format_version") != FORMAT_VERSION:
            raise BundleVersionError(
                f"{path} has format version {content.get('format_version')!r}, this latelite reads {FORMAT_VERSION}; "
                "export the checkpoint again with the installed version."
            )
        try:
            manifest = cls._from_content(content)
            claimed = content["fingerprint"]
            actual = manifest.fingerprint
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleCorruptError(f"{path} is incomplete: {type(error).__name__}: {error}.") from error
        if claimed != actual:
            raise BundleCorruptError(f"{path} was altered: its fingerprint does not match its content.")
        return manifest

    @classmethod
    def _from_content(cls, content: Mapping[str, Any]) -> Manifest:
        plain = {f.name: content[f.name] for f in fields(cls) if f.name != "lexical_weight"}
        weight = content.get("lexical_weight", LEXICAL_WEIGHT)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= _MAX_LEXICAL_WEIGHT:
            raise ValueError(f"lexical_weight is {weight!r}, not a number from 0 to {_MAX_LEXICAL_WEIGHT}")
        settings = dict(plain["settings"])
        settings["skiplist_words"] = tuple(settings["skiplist_words"])
        token_ids = dict(plain["token_ids"])
        token_ids["skiplist"] = tuple(token_ids["skiplist"])
        return cls(
            **plain
            | {
                "settings": Settings(**settings),
                "token_ids": TokenIds(**token_ids),
                "inputs": tuple(plain["inputs"]),
                "graphs": {name: Graph(**graph) for name, graph in plain["graphs"].items()},
                "files": {name: FileEntry(**entry) for name, entry in plain["files"].items()},
                "lexical_weight": float(weight),
            }
        )
