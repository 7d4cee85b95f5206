"""Tiny random checkpoints, written from code with nothing but NumPy: the same bytes everywhere.

`write(case, folder)` makes the folder that a user would have downloaded; `CASES` says which there are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import configurations, shapes, vocabularies, weights
from .case import Case, Dense, Layout
from .cases import CASES, case
from .texts import TEXTS
from .unigram import sentencepiece_model

__all__ = ["CASES", "Case", "Layout", "case", "fingerprint", "texts_fingerprint", "write"]


def write(case: Case, folder: Path) -> Path:
    """Write the checkpoint of one case.

    Args:
        case: Which.
        folder: Where to; made if missing, its files overwritten.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = vocabularies.build(case.tokenizer, case.added_tokens, special=case.layout == "sentence-transformers-6")
    _write_tokenizer(case, tokenizer, folder)
    _write_json(folder / "config.json", configurations.config(case, tokenizer))
    named = shapes.backbone_shapes(case, tokenizer.size + case.spare_rows)
    tensors = {name: weights.values(case, name, shape) for name, shape in named}
    if case.layout == "stanford":
        tensors = {f"bert.{name}": value for name, value in tensors.items()}
        tensors["linear.weight"] = weights.values(case, "linear.weight", (case.head[0].out_features, case.hidden))
        _write_json(folder / "artifact.metadata", case.settings)
    else:
        _write_modules(case, folder)
    weights.write_safetensors(folder / "model.safetensors", tensors, case.weights)
    return folder


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of a checkpoint's files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def texts_fingerprint(case: Case) -> str:
    """SHA-256 of a case's texts."""
    return hashlib.sha256(json.dumps([TEXTS[name] for name in case.texts]).encode()).hexdigest()


def _write_json(path: Path, content: Mapping[str, Any] | list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_tokenizer(case: Case, tokenizer: vocabularies.Tokenizer, folder: Path) -> None:
    """The tokenizer files, with what PyLate leaves when it saves: stale truncation and padding, the mask as padding."""
    content, special = dict(tokenizer.json), dict(tokenizer.special)
    if case.layout == "pylate":
        padding = special.get("mask_token") or special["eos_token"]
        special["pad_token"] = padding
        content["truncation"] = {"direction": "Right", "max_length": 23, "strategy": "LongestFirst", "stride": 0}
        content["padding"] = {
            "strategy": {"Fixed": 23},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": tokenizer.ids[padding],
            "pad_type_id": 0,
            "pad_token": padding,
        }
    config = {
        **special,
        **tokenizer.extra_config,
        "clean_up_tokenization_spaces": False,
        "model_max_length": case.positions,
        "model_input_names": list(tokenizer.input_names),
        "tokenizer_class": tokenizer.tokenizer_class,
    }
    if case.saved_by_transformers_5:
        config["backend"] = "tokenizers"
        config["extra_special_tokens"] = list(case.added_tokens)
        if tokenizer.tokenizer_class == "PreTrainedTokenizerFast":
            config["tokenizer_class"] = "TokenizersBackend"
    else:
        flags = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
        added = content["added_tokens"]
        config["added_tokens_decoder"] = {str(token["id"]): {flag: token[flag] for flag in flags} for token in added}
        _write_json(folder / "special_tokens_map.json", special)
    if case.sentencepiece:
        (folder / "spm.model").write_bytes(sentencepiece_model(tokenizer))
    else:
        _write_json(folder / "tokenizer.json", content)
    _write_json(folder / "tokenizer_config.json", config)


def _write_modules(case: Case, folder: Path) -> None:
    """`modules.json`, the settings, and one folder per module behind the backbone."""
    six = case.layout == "sentence-transformers-6"
    base = "sentence_transformers.base.modules." if six else "sentence_transformers.models."
    listed = [("", f"{base}transformer.Transformer" if six else f"{base}Transformer")]
    inputs = case.hidden
    for index, dense in enumerate(case.head, start=1):
        own = dense.residual is not None
        kind = f"{base}dense.Dense" if six else "pylate.models.Dense.Dense" if own else f"{base}Dense"
        listed.append((f"{index}_Dense", kind))
        _write_dense(case, dense, inputs, folder / listed[-1][0])
        inputs = dense.out_features
    encoder_settings: Mapping[str, Any] = {"max_seq_length": 23, "do_lower_case": case.do_lower_case}
    if six:
        keys = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
        multi_vector = "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask"
        for name, kind, config in (
            ("MultiVectorMask", multi_vector, case.mask_settings),
            ("Normalize", f"{base}normalize.Normalize", keys),
        ):
            listed.append((f"{len(listed)}_{name}", kind))
            _write_json(folder / listed[-1][0] / "config.json", config)
        encoder_settings = {
            "transformer_task": "feature-extraction",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            "module_output_name": "token_embeddings",
            **case.encoder_settings,
        }
    modules = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(listed)]
    _write_json(folder / "modules.json", modules)
    _write_json(folder / "sentence_bert_config.json", encoder_settings)
    versions = {
        "sentence_transformers": "6.2.0" if six else "5.3.0",
        "transformers": "5.3.0" if case.saved_by_transformers_5 else "4.57.6",
        "pytorch": "2.13.0",
    }
    _write_json(
        folder / "config_sentence_transformers.json",
        {
            "__version__": versions,
            **({"model_type": "MultiVectorEncoder"} if six else {}),
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": None if six else "MaxSim",
            **case.settings,
        },
    )


def _write_dense(case: Case, dense: Dense, inputs: int, folder: Path) -> None:
    """One projection: its `config.json` and weights."""
    config: dict[str, Any] = {
        "in_features": inputs,
        "out_features": dense.out_features,
        "bias": dense.bias,
        "activation_function": dense.activation,
    }
    if case.layout == "sentence-transformers-6":
        config |= {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
        config |= {"use_residual": True} if dense.residual else {}
    elif dense.residual is not None:
        config["use_residual"] = dense.residual
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (dense.out_features, inputs)}
    if dense.bias:
        shapes["linear.bias"] = (dense.out_features,)
    if dense.residual and inputs != dense.out_features:
        shapes["residual.weight"] = (dense.out_features, inputs)
    _write_json(folder / "config.json", config)
    values = {name: weights.values(case, f"{folder.name}/{name}", shape) for name, shape in shapes.items()}
    weights.write_safetensors(folder / "model.safetensors", values, case.weights)
