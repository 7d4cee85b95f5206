"""What a checkpoint says about itself, whatever layout it was saved in."""

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
"""CLS, prefix, one token of text, SEP."""

SkipPolicy = Literal["unk", "drop"]
"""A skiplist word outside the vocabulary skips unknown tokens (PyLate) or nothing (Sentence Transformers)."""


@dataclass(frozen=True)
class DenseLayer:
    """One linear layer of the projection: ``activation(x W^T + b)``, plus the residual where there is one."""

    in_features: int
    out_features: int
    bias: bool
    activation: str
    """Import path of a ``torch.nn`` class, e.g. ``torch.nn.modules.linear.Identity``."""
    residual: bool
    """Add the input: as it is when the dimensions agree, through a bias-free linear layer otherwise."""
    weights: Path
    """Folder whose weights hold ``linear.weight``, ``linear.bias`` and ``residual.weight``."""


@dataclass(frozen=True)
class Overrides:
    """Settings given by the user; None leaves them to the checkpoint."""

    query_expansion: bool | None = None
    query_length: int | None = None
    document_length: int | None = None
    query_prefix: str | None = None
    document_prefix: str | None = None
    attend_to_expansion: bool | None = None
    dim: int | None = None
    """Keep the first dimensions only, for checkpoints trained so that these suffice (Matryoshka)."""


@dataclass(frozen=True)
class Checkpoint:
    """Resolved settings of a checkpoint and where its weights are."""

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
    """For each setting: where its value came from."""
    skip_policy: SkipPolicy
    head_tensors: tuple[str, ...] = ()
    """Names of the head's tensors where they are among the encoder's."""
    notes: tuple[str, ...] = ()
    """What the checkpoint says of itself and the export does not follow, in sentences."""
    dim: int | None = None
    """Dimensions that are kept of each vector; None: all."""
    expansion_token: str | None = None
    """Fills an expanded query; None means the mask token, else end-of-text, else padding."""


class Resolution:
    """Takes each setting from the first place that has it, and remembers which place that was."""

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}

    def take(self, name: str, *candidates: tuple[Any, str]) -> Any:
        """First candidate ``(value, source)`` whose value is not None; the last one is the default."""
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
        """Resolve every setting by PyLate's rules: argument, else configuration file, else default.

        Args:
            config: keys named as PyLate names them.
            source: what to call ``config`` in ``sources``.
            transformer: ``do_lower_case`` is taken from here.
            transformer_source: what to call ``transformer`` in ``sources``.
            overrides: the arguments.
            prefixes: default query and document prefix; they differ between layouts.
            strip: whether the library of this layout removes white space around a text.

        Raises:
            SettingError: a value has a wrong type or is out of range.
        """

        def setting(name: str, kind: type[Any], default: Any, argument: Any = None) -> Any:
            value = self.take(name, (argument, "argument"), (config.get(name), source), (default, "default"))
            usable = isinstance(value, kind) and (kind is not int or (type(value) is int and value >= SHORTEST))
            if not usable:
                raise SettingError(f"{name} is {value!r} in {self.sources[name]}, which is not usable.")
            return value

        expansion = setting("do_query_expansion", bool, True, overrides.query_expansion)
        attend = setting("attend_to_expansion_tokens", bool, False, overrides.attend_to_expansion)
        if attend and not expansion:
            attend, self.sources["attend_to_expansion_tokens"] = False, "off, as query expansion is"
        skiplist = setting("skiplist_words", list, list(string.punctuation))
        prompts = setting("prompts", dict, {})
        for name, values in (("prompts", prompts.values()), ("skiplist_words", skiplist)):
            odd = next((value for value in values if not isinstance(value, str)), None)
            if odd is not None:
                raise SettingError(f"{name} holds {odd!r} in {self.sources[name]}, which is no text.")
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
    """Refuse a checkpoint that was trained for other scores than MaxSim of cosines.

    Raises:
        UnsupportedCheckpointError: it was.
    """
    if name is not None and str(name).lower() not in _SIMILARITIES:
        raise UnsupportedCheckpointError(
            f"{where} says that vectors are compared by {name!r}; latelite knows MaxSim of cosines only."
        )


def read_json(path: Path, *, required: bool = True) -> dict[str, Any]:
    """Content of a JSON file that holds an object; ``{}`` when it is missing and not required.

    Raises:
        CheckpointNotFoundError: it is missing and required.
        IncompleteCheckpointError: it is not JSON, or not an object.
    """
    content = read_json_value(path, required=required)
    if not isinstance(content, dict):
        raise IncompleteCheckpointError(f"{path} holds a JSON {type(content).__name__}, an object is expected.")
    return content


def read_json_value(path: Path, *, required: bool = True) -> Any:
    """As `read_json`, for files that hold any JSON."""
    if not path.is_file():
        if required:
            raise CheckpointNotFoundError(f"{path} is missing.")
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise IncompleteCheckpointError(f"{path} is not valid JSON ({first_line(error)}).") from error


def first_line(error: BaseException, length: int = 300) -> str:
    """What an error of another library says, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else f"{text[: length - 1]}…"
