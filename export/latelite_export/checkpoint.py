"""The settings of a checkpoint, independent of the layout it was saved in."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from latelite.manifest import Settings
from latelite_export.errors import (
    CheckpointNotFoundError,
    IncompleteCheckpointError,
    SettingError,
    UnsupportedCheckpointError,
)

DEFAULT_QUERY_LENGTH = 32
DEFAULT_DOCUMENT_LENGTH = 180
SHORTEST = 4
"""Smallest length in tokens: CLS, prefix, one token of text, SEP."""

SkipPolicy = Literal["unk", "drop"]
"""What a skiplist word outside the vocabulary skips: unknown tokens (PyLate) or nothing (Sentence Transformers)."""


@dataclass(frozen=True)
class DenseLayer:
    """One linear layer of the projection: ``activation(x W^T + b)``, plus the residual if it has one."""

    in_features: int
    out_features: int
    bias: bool
    activation: str
    """Import path of a ``torch.nn`` class, e.g. ``torch.nn.modules.linear.Identity``."""
    residual: bool
    """Add the input, through a bias-free linear layer if the dimensions differ."""
    weights: Path
    """Folder whose weights hold ``linear.weight``, ``linear.bias`` and ``residual.weight``."""


@dataclass(frozen=True)
class Overrides:
    """Settings given by the user; None keeps the checkpoint's."""

    query_expansion: bool | None = None
    query_length: int | None = None
    document_length: int | None = None
    query_prefix: str | None = None
    document_prefix: str | None = None
    attend_to_expansion: bool | None = None
    dim: int | None = None
    """Number of leading dimensions to keep, for Matryoshka checkpoints."""


@dataclass(frozen=True)
class Checkpoint:
    """Resolved settings of a checkpoint, and the locations of its files."""

    id: str
    """Hub id, or the folder's name."""
    revision: str | None
    layout: str
    backbone: Path
    """Folder with the encoder's ``config.json`` and weights."""
    tokenizer: Path
    """Folder with the tokenizer's files."""
    head: tuple[DenseLayer, ...]
    settings: Settings
    sources: Mapping[str, str]
    """Setting -> where its value came from."""
    skip_policy: SkipPolicy
    head_tensors: tuple[str, ...] = ()
    """Names of the head's tensors if they are stored with the encoder's."""
    notes: tuple[str, ...] = ()
    """Sentences about what the checkpoint declares and the export does not follow."""
    dim: int | None = None
    """Number of leading dimensions kept of each vector; None: all."""
    expansion_token: str | None = None
    """Token that expands queries; None: the mask token, else end-of-text, else padding."""


class Resolution:
    """Takes each setting from the first source that has it, and records which one."""

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}

    def take(self, name: str, *candidates: tuple[Any, str]) -> Any:
        """The value of the first ``(value, source)`` whose value is not None; the last pair is the default."""
        value, source = next((c for c in candidates if c[0] is not None), candidates[-1])
        self.sources[name] = source
        return value

    def settings(
        self,
        config: Mapping[str, Any],
        source: str,
        transformer: Mapping[str, Any],
        transformer_source: str,
        overrides: Overrides,
        *,
        prefixes: tuple[str, str] = ("[Q] ", "[D] "),
        strip: bool = True,
    ) -> Settings:
        """Resolve every setting in PyLate's order: argument, configuration file, default.

        Args:
            config: settings under PyLate's names.
            source: what to call ``config`` in ``sources``.
            transformer: where ``do_lower_case`` is read from.
            transformer_source: what to call ``transformer`` in ``sources``.
            overrides: the arguments.
            prefixes: default query and document prefix, which depend on the layout.
            strip: whether the layout's library strips white space around a text.

        Raises:
            SettingError: a value has a wrong type or is out of range.
        """

        def setting(name: str, kind: type[Any], default: Any, argument: Any = None) -> Any:
            value = self.take(name, (argument, "argument"), (config.get(name), source), (default, "default"))
            usable = isinstance(value, kind) and (kind is not int or (type(value) is int and value >= SHORTEST))
            if not usable:
                raise SettingError(f"{name} is {value!r} in {self.sources[name]}, which is not a valid value.")
            return value

        expansion = setting("do_query_expansion", bool, True, overrides.query_expansion)
        attend = setting("attend_to_expansion_tokens", bool, False, overrides.attend_to_expansion)
        if attend and not expansion:
            attend, self.sources["attend_to_expansion_tokens"] = False, "off, because query expansion is off"
        skiplist = setting("skiplist_words", list, list(string.punctuation))
        prompts = setting("prompts", dict, {})
        for name, values in (("prompts", prompts.values()), ("skiplist_words", skiplist)):
            odd = next((value for value in values if not isinstance(value, str)), None)
            if odd is not None:
                raise SettingError(f"{name} contains {odd!r} in {self.sources[name]}, which is not a string.")
        default_prompt = self.take(
            "default_prompt_name", (config.get("default_prompt_name"), source), (None, "default")
        )
        if default_prompt is not None and default_prompt not in prompts:
            raise SettingError(
                f"default_prompt_name is {default_prompt!r} in {source}, which is not one of its prompts."
            )
        self.sources["strip"] = "layout"
        lower = self.take("do_lower_case", (transformer.get("do_lower_case"), transformer_source), (False, "default"))
        return Settings(
            query_prefix=setting("query_prefix", str, prefixes[0], overrides.query_prefix),
            document_prefix=setting("document_prefix", str, prefixes[1], overrides.document_prefix),
            query_length=setting("query_length", int, DEFAULT_QUERY_LENGTH, overrides.query_length),
            document_length=setting("document_length", int, DEFAULT_DOCUMENT_LENGTH, overrides.document_length),
            do_query_expansion=expansion,
            attend_to_expansion_tokens=attend,
            strip=strip,
            do_lower_case=bool(lower),
            skiplist_words=tuple(skiplist),
            prompts=dict(prompts),
            default_prompt_name=default_prompt,
        )


_SIMILARITIES = ("maxsim", "cosine")


def check_similarity(name: Any, where: str) -> None:
    """Check that a checkpoint was trained for MaxSim over cosine similarities.

    Raises:
        UnsupportedCheckpointError: it was trained for another score.
    """
    if name is not None and str(name).lower() not in _SIMILARITIES:
        raise UnsupportedCheckpointError(
            f"{where} names the similarity {name!r}; latelite supports only MaxSim over cosine similarities."
        )


def read_json(path: Path, *, required: bool = True) -> dict[str, Any]:
    """The object in a JSON file; ``{}`` if the file is missing and not required.

    Raises:
        CheckpointNotFoundError: the file is missing and required.
        IncompleteCheckpointError: the file is not JSON, or not an object.
    """
    content = read_json_value(path, required=required)
    if not isinstance(content, dict):
        raise IncompleteCheckpointError(f"{path} contains a JSON {type(content).__name__} instead of an object.")
    return content


def read_json_value(path: Path, *, required: bool = True) -> Any:
    """Like `read_json`, for any JSON value."""
    if not path.is_file():
        if required:
            raise CheckpointNotFoundError(f"{path} is missing.")
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise IncompleteCheckpointError(f"{path} is not valid JSON ({first_line(error)}).") from error


def first_line(error: BaseException, length: int = 300) -> str:
    """The message of another library's error, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else f"{text[: length - 1]}…"
