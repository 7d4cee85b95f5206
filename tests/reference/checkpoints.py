"""Tiny random checkpoints, written from code with nothing but NumPy: the same bytes everywhere.

`write(case, folder)` makes the folder that a user would have downloaded; `CASES` says which there are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import vocabularies, weights
from .cases import CASES, Case, Dense, Layout, case
from .texts import TEXTS

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
    _write_json(folder / "config.json", _config(case, tokenizer))
    shapes = weights.backbone_shapes(case, tokenizer.size + case.spare_rows)
    tensors = {name: weights.values(case, name, shape) for name, shape in shapes}
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


def _config(case: Case, tokenizer: vocabularies.Tokenizer) -> dict[str, Any]:
    """`config.json`, with the keys that the versions of transformers before 5 write (or those of 5)."""
    dtype = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[case.weights]
    pad = tokenizer.ids[tokenizer.special["pad_token"]]
    common: dict[str, Any] = {
        "model_type": case.backbone,
        "vocab_size": tokenizer.size + case.spare_rows,
        "pad_token_id": pad,
        **({"dtype": dtype} if case.saved_by_transformers_5 else {"torch_dtype": dtype}),
        "transformers_version": "5.3.0" if case.saved_by_transformers_5 else "4.57.6",
    }
    if case.backbone == "distilbert":
        return {
            "architectures": ["DistilBertModel"],
            **common,
            "dim": case.hidden,
            "hidden_dim": case.intermediate,
            "n_heads": case.heads,
            "n_layers": case.layers,
            "max_position_embeddings": case.positions,
            "activation": "gelu",
            "sinusoidal_pos_embds": False,
        }
    sizes = {
        "hidden_size": case.hidden,
        "intermediate_size": case.intermediate,
        "num_attention_heads": case.heads,
        "num_hidden_layers": case.layers,
    }
    if case.backbone == "modernbert":
        return {"architectures": ["ModernBertModel"], **common, **sizes, **_modernbert_config(case, tokenizer)}
    names = {"bert": "BertModel", "roberta": "RobertaModel", "xlm-roberta": "XLMRobertaModel", "mpnet": "MPNetModel"}
    return {
        "architectures": ["HF_ColBERT" if case.layout == "stanford" else names[case.backbone]],
        **common,
        **sizes,
        "max_position_embeddings": weights.position_rows(case),
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12 if case.backbone == "bert" else 1e-5,
        **(
            {"relative_attention_num_buckets": 32}
            if case.backbone == "mpnet"
            else {"position_embedding_type": "absolute"}
        ),
        **({} if case.backbone == "mpnet" else {"type_vocab_size": 2 if case.backbone == "bert" else 1}),
        **({} if case.backbone == "bert" else {"bos_token_id": 0, "eos_token_id": 2}),
    }


def _modernbert_config(case: Case, tokenizer: vocabularies.Tokenizer) -> dict[str, Any]:
    """A window of 8 (four tokens to each side) and rotary bases that are nobody's default."""
    content = {
        "max_position_embeddings": case.positions,
        "hidden_activation": "gelu",
        "norm_eps": 1e-5,
        "norm_bias": False,
        "attention_bias": False,
        "mlp_bias": False,
        "local_attention": 8,
        "cls_token_id": tokenizer.ids["[CLS]"],
        "sep_token_id": tokenizer.ids["[SEP]"],
        "bos_token_id": tokenizer.ids["[CLS]"],
        "eos_token_id": tokenizer.ids["[SEP]"],
    }
    if not case.saved_by_transformers_5:
        rope = {"global_rope_theta": 20000.0, "local_rope_theta": 500.0}
        return {**content, **rope, "global_attn_every_n_layers": 3, "reference_compile": False}
    kinds = ["sliding_attention" if layer % 3 else "full_attention" for layer in range(case.layers)]
    bases = {"full_attention": 20000.0, "sliding_attention": 500.0}
    rope_parameters = {kind: {"rope_type": "default", "rope_theta": base} for kind, base in bases.items()}
    return {**content, "layer_types": kinds, "rope_parameters": rope_parameters}


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
