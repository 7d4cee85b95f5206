"""Names and shapes of the parameters that `AutoModel` expects, one function per family of architectures."""

from __future__ import annotations

from collections.abc import Iterator

from .case import Case

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def backbone_shapes(case: Case, vocabulary: int) -> Shapes:
    """Names and shapes of the backbone's parameters."""
    families = {
        "albert": _albert,
        "deberta": _deberta,
        "deberta-v2": _deberta,
        "distilbert": _distilbert,
        "lfm2": _lfm2,
        "modernbert": _modernbert,
        "qwen3": _qwen3,
        "xlm-roberta-xl": _xlm_roberta_xl,
    }
    return families.get(case.backbone, _bert)(case, vocabulary)


def position_rows(case: Case) -> int:
    """RoBERTa's positions begin behind the padding id, so its table has that many rows more."""
    behind = ("camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl")
    return case.positions + (2 if case.backbone in behind else 0)


def type_rows(case: Case) -> int:
    """Rows of the token types' table."""
    return 2 if case.backbone in ("albert", "bert", "electra", "roformer") else 1


def _linear(name: str, outputs: int, inputs: int) -> Shapes:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, size: int) -> Shapes:
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)


def _embeddings(case: Case, vocabulary: int, *, positions: bool = True, types: bool = True) -> Shapes:
    width = case.config.get("embedding_size", case.hidden)
    yield "embeddings.word_embeddings.weight", (vocabulary, width)
    if positions:
        yield "embeddings.position_embeddings.weight", (position_rows(case), width)
    if types:
        yield "embeddings.token_type_embeddings.weight", (type_rows(case), width)
    yield from _norm("embeddings.LayerNorm", width)


def _bert(case: Case, vocabulary: int) -> Shapes:
    """BERT and its near kin: RoBERTa, XLM-R, CamemBERT, MPNet, Electra, RoFormer."""
    hidden, mpnet = case.hidden, case.backbone == "mpnet"
    yield from _embeddings(case, vocabulary, positions=case.backbone != "roformer", types=not mpnet)
    if (width := case.config.get("embedding_size", hidden)) != hidden:
        yield from _linear("embeddings_project", hidden, width)
    if mpnet:
        yield "encoder.relative_attention_bias.weight", (32, case.heads)
    for layer in range(case.layers):
        at = f"encoder.layer.{layer}"
        if mpnet:
            for part in ("q", "k", "v", "o"):
                yield from _linear(f"{at}.attention.attn.{part}", hidden, hidden)
            yield from _norm(f"{at}.attention.LayerNorm", hidden)
        else:
            for part in ("query", "key", "value"):
                yield from _linear(f"{at}.attention.self.{part}", hidden, hidden)
            yield from _linear(f"{at}.attention.output.dense", hidden, hidden)
            yield from _norm(f"{at}.attention.output.LayerNorm", hidden)
        yield from _feedforward(case, at)
    if case.pooler and case.backbone not in ("electra", "roformer"):
        yield from _linear("pooler.dense", hidden, hidden)


def _feedforward(case: Case, at: str, *, norm: bool = True) -> Shapes:
    yield from _linear(f"{at}.intermediate.dense", case.intermediate, case.hidden)
    yield from _linear(f"{at}.output.dense", case.hidden, case.intermediate)
    if norm:
        yield from _norm(f"{at}.output.LayerNorm", case.hidden)


def _xlm_roberta_xl(case: Case, vocabulary: int) -> Shapes:
    hidden = case.hidden
    yield "embeddings.word_embeddings.weight", (vocabulary, hidden)
    yield "embeddings.position_embeddings.weight", (position_rows(case), hidden)
    yield "embeddings.token_type_embeddings.weight", (type_rows(case), hidden)
    for layer in range(case.layers):
        at = f"encoder.layer.{layer}"
        yield from _norm(f"{at}.attention.self_attn_layer_norm", hidden)
        for part in ("query", "key", "value"):
            yield from _linear(f"{at}.attention.self.{part}", hidden, hidden)
        yield from _linear(f"{at}.attention.output.dense", hidden, hidden)
        yield from _feedforward(case, at, norm=False)
        yield from _norm(f"{at}.LayerNorm", hidden)
    yield from _norm("encoder.LayerNorm", hidden)


def _albert(case: Case, vocabulary: int) -> Shapes:
    hidden = case.hidden
    yield from _embeddings(case, vocabulary)
    yield from _linear("encoder.embedding_hidden_mapping_in", hidden, case.config["embedding_size"])
    for group in range(case.config["num_hidden_groups"]):
        at = f"encoder.albert_layer_groups.{group}.albert_layers.0"
        for part in ("query", "key", "value", "dense"):
            yield from _linear(f"{at}.attention.{part}", hidden, hidden)
        yield from _norm(f"{at}.attention.LayerNorm", hidden)
        yield from _linear(f"{at}.ffn", case.intermediate, hidden)
        yield from _linear(f"{at}.ffn_output", hidden, case.intermediate)
        yield from _norm(f"{at}.full_layer_layer_norm", hidden)
    yield from _linear("pooler", hidden, hidden)


def _deberta(case: Case, vocabulary: int) -> Shapes:
    """All versions of DeBERTa, without positions in the embeddings."""
    hidden, config = case.hidden, case.config
    yield from _embeddings(case, vocabulary, positions=False, types=False)
    buckets = config.get("position_buckets", -1)
    yield "encoder.rel_embeddings.weight", (2 * (buckets if buckets > 0 else case.positions), hidden)
    if "layer_norm" in config.get("norm_rel_ebd", ""):
        yield from _norm("encoder.LayerNorm", hidden)
    if size := config.get("conv_kernel_size"):
        yield "encoder.conv.conv.weight", (hidden, hidden, size)
        yield "encoder.conv.conv.bias", (hidden,)
        yield from _norm("encoder.conv.LayerNorm", hidden)
    for layer in range(case.layers):
        at = f"encoder.layer.{layer}"
        own = f"{at}.attention.self"
        if case.backbone == "deberta":
            yield f"{own}.in_proj.weight", (3 * hidden, hidden)
            yield f"{own}.q_bias", (hidden,)
            yield f"{own}.v_bias", (hidden,)
            yield f"{own}.pos_proj.weight", (hidden, hidden)
            yield from _linear(f"{own}.pos_q_proj", hidden, hidden)
        else:
            positions = () if config.get("share_att_key") else ("pos_key_proj", "pos_query_proj")
            for part in ("query_proj", "key_proj", "value_proj", *positions):
                yield from _linear(f"{own}.{part}", hidden, hidden)
        yield from _linear(f"{at}.attention.output.dense", hidden, hidden)
        yield from _norm(f"{at}.attention.output.LayerNorm", hidden)
        yield from _feedforward(case, at)


def _qwen3(case: Case, vocabulary: int) -> Shapes:
    hidden, size = case.hidden, case.config["head_dim"]
    yield "embed_tokens.weight", (vocabulary, hidden)
    for layer in range(case.layers):
        at = f"layers.{layer}"
        keys = case.config["num_key_value_heads"] * size
        yield f"{at}.input_layernorm.weight", (hidden,)
        yield f"{at}.self_attn.q_proj.weight", (case.heads * size, hidden)
        yield f"{at}.self_attn.k_proj.weight", (keys, hidden)
        yield f"{at}.self_attn.v_proj.weight", (keys, hidden)
        yield f"{at}.self_attn.o_proj.weight", (hidden, case.heads * size)
        yield f"{at}.self_attn.q_norm.weight", (size,)
        yield f"{at}.self_attn.k_norm.weight", (size,)
        yield f"{at}.post_attention_layernorm.weight", (hidden,)
        yield f"{at}.mlp.gate_proj.weight", (case.intermediate, hidden)
        yield f"{at}.mlp.up_proj.weight", (case.intermediate, hidden)
        yield f"{at}.mlp.down_proj.weight", (hidden, case.intermediate)
    yield "norm.weight", (hidden,)


def _lfm2(case: Case, vocabulary: int) -> Shapes:
    """Convolutions in the even layers, attention in the odd ones."""
    hidden, size = case.hidden, case.hidden // case.heads
    yield "embed_tokens.weight", (vocabulary, hidden)
    for layer in range(case.layers):
        at = f"layers.{layer}"
        yield f"{at}.operator_norm.weight", (hidden,)
        if layer % 2:
            keys = case.config["num_key_value_heads"] * size
            yield f"{at}.self_attn.q_proj.weight", (hidden, hidden)
            yield f"{at}.self_attn.k_proj.weight", (keys, hidden)
            yield f"{at}.self_attn.v_proj.weight", (keys, hidden)
            yield f"{at}.self_attn.out_proj.weight", (hidden, hidden)
            yield f"{at}.self_attn.q_layernorm.weight", (size,)
            yield f"{at}.self_attn.k_layernorm.weight", (size,)
        else:
            yield f"{at}.conv.conv.weight", (hidden, 1, 3)
            yield f"{at}.conv.in_proj.weight", (3 * hidden, hidden)
            yield f"{at}.conv.out_proj.weight", (hidden, hidden)
        yield f"{at}.ffn_norm.weight", (hidden,)
        yield f"{at}.feed_forward.w1.weight", (case.intermediate, hidden)
        yield f"{at}.feed_forward.w3.weight", (case.intermediate, hidden)
        yield f"{at}.feed_forward.w2.weight", (hidden, case.intermediate)
    yield "embedding_norm.weight", (hidden,)


def _distilbert(case: Case, vocabulary: int) -> Shapes:
    hidden = case.hidden
    yield "embeddings.word_embeddings.weight", (vocabulary, hidden)
    yield "embeddings.position_embeddings.weight", (case.positions, hidden)
    yield from _norm("embeddings.LayerNorm", hidden)
    for layer in range(case.layers):
        at = f"transformer.layer.{layer}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            yield from _linear(f"{at}.attention.{part}", hidden, hidden)
        yield from _norm(f"{at}.sa_layer_norm", hidden)
        yield from _linear(f"{at}.ffn.lin1", case.intermediate, hidden)
        yield from _linear(f"{at}.ffn.lin2", hidden, case.intermediate)
        yield from _norm(f"{at}.output_layer_norm", hidden)


def _modernbert(case: Case, vocabulary: int) -> Shapes:
    hidden = case.hidden
    yield "embeddings.tok_embeddings.weight", (vocabulary, hidden)
    yield "embeddings.norm.weight", (hidden,)
    for layer in range(case.layers):
        at = f"layers.{layer}"
        if layer:
            yield f"{at}.attn_norm.weight", (hidden,)
        yield f"{at}.attn.Wqkv.weight", (3 * hidden, hidden)
        yield f"{at}.attn.Wo.weight", (hidden, hidden)
        yield f"{at}.mlp_norm.weight", (hidden,)
        yield f"{at}.mlp.Wi.weight", (2 * case.intermediate, hidden)
        yield f"{at}.mlp.Wo.weight", (hidden, case.intermediate)
    yield "final_norm.weight", (hidden,)
