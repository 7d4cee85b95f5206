"""`config.json` of the tiny checkpoints."""

from __future__ import annotations

from typing import Any

from . import shapes
from .case import Case
from .tokenizer_file import Tokenizer

_CLASSES = {
    "albert": "AlbertModel",
    "bert": "BertModel",
    "camembert": "CamembertModel",
    "deberta": "DebertaModel",
    "deberta-v2": "DebertaV2Model",
    "electra": "ElectraModel",
    "lfm2": "Lfm2Model",
    "mpnet": "MPNetModel",
    "qwen3": "Qwen3Model",
    "roberta": "RobertaModel",
    "roformer": "RoFormerModel",
    "xlm-roberta": "XLMRobertaModel",
    "xlm-roberta-xl": "XLMRobertaXLModel",
}


def config(case: Case, tokenizer: Tokenizer) -> dict[str, Any]:
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
    if case.backbone in ("qwen3", "lfm2"):
        return {"architectures": [_CLASSES[case.backbone]], **common, **sizes, **_decoder_config(case, tokenizer)}
    bert_like = case.backbone in ("bert", "albert", "electra", "roformer")
    own_positions = case.backbone in ("mpnet", "deberta", "deberta-v2", "roformer")
    return {
        "architectures": ["HF_ColBERT" if case.layout == "stanford" else _CLASSES[case.backbone]],
        **common,
        **sizes,
        "max_position_embeddings": shapes.position_rows(case),
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12 if case.backbone == "bert" else 1e-5,
        **({"relative_attention_num_buckets": 32} if case.backbone == "mpnet" else {}),
        **({} if own_positions else {"position_embedding_type": "absolute"}),
        **({} if case.backbone == "mpnet" else {"type_vocab_size": shapes.type_rows(case)}),
        **({} if bert_like or case.backbone.startswith("deberta") else {"bos_token_id": 0, "eos_token_id": 2}),
        **case.config,
    }


def _decoder_config(case: Case, tokenizer: Tokenizer) -> dict[str, Any]:
    content: dict[str, Any] = {
        "max_position_embeddings": case.positions,
        "tie_word_embeddings": True,
        "eos_token_id": tokenizer.ids[tokenizer.special["eos_token"]],
    }
    if case.backbone == "qwen3":
        content |= {"hidden_act": "silu", "rms_norm_eps": 1e-6, "attention_bias": False}
    else:
        content |= {
            "norm_eps": 1e-5,
            "conv_L_cache": 3,
            "conv_bias": False,
            "block_auto_adjust_ff_dim": False,
            "bos_token_id": tokenizer.ids[tokenizer.special["bos_token"]],
            "layer_types": ["full_attention" if layer % 2 else "conv" for layer in range(case.layers)],
        }
    return content | dict(case.config)


def _modernbert_config(case: Case, tokenizer: Tokenizer) -> dict[str, Any]:
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
