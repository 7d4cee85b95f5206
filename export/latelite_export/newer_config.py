"""Translates transformers 5 config keys to their transformers 4 names.

transformers 4 silently ignores keys that it does not know and uses its defaults. So every key that affects the vectors
is translated here, or the checkpoint is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from latelite_export.errors import UnsupportedCheckpointError

_ROPE_BASES = {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"}
"""ModernBERT: layer type in transformers 5 -> key of its rotary base in transformers 4."""


def translate(config: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """``config`` as the installed transformers understands it; the same object if nothing needs translating.

    Raises:
        UnsupportedCheckpointError: a key has no equivalent.
    """
    if "rope_parameters" not in config and "layer_types" not in config:
        return config
    kind = config["model_type"]
    where = folder / "config.json"
    known = CONFIG_MAPPING[kind]().to_dict()
    result = dict(config)
    rope = result.pop("rope_parameters", None)
    if rope is not None and "rope_parameters" not in known:
        result |= _rotary(rope, known, where)
    elif rope is not None:
        result["rope_parameters"] = rope
    if "layer_types" in result and "layer_types" not in known:
        result |= _pattern(result.pop("layer_types"), known, where)
    return result


def _rotary(rope: Mapping[str, Any], known: Mapping[str, Any], where: Path) -> dict[str, Any]:
    per_kind = all(isinstance(entry, Mapping) for entry in rope.values())
    entries = rope if per_kind else {"": rope}
    translated: dict[str, Any] = {}
    for kind, entry in entries.items():
        key = _ROPE_BASES.get(kind, "") if per_kind else "rope_theta"
        surplus = set(entry) - {"rope_type", "rope_theta"}
        if key not in known or entry.get("rope_type", "default") != "default" or surplus:
            raise UnsupportedCheckpointError(
                f"{where} was written by a newer transformers and its rope_parameters {dict(entry)} have no equivalent "
                "in the installed one."
            )
        if "rope_theta" in entry:
            translated[key] = float(entry["rope_theta"])
    return translated


def _pattern(kinds: list[str], known: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """``layer_types`` as "every n-th layer is global", starting with the first."""
    if "global_attn_every_n_layers" in known:
        for n in range(1, len(kinds) + 1):
            if kinds == ["sliding_attention" if i % n else "full_attention" for i in range(len(kinds))]:
                return {"global_attn_every_n_layers": n}
    raise UnsupportedCheckpointError(
        f"{where} was written by a newer transformers and its layer_types have no equivalent in the installed one."
    )
