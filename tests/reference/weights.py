"""Random weights under the names that the backbones expect, and a writer of safetensors.

The weights are larger than those of a fresh model, so that attention, positions and biases all matter: a runtime that
ignores one of them is far outside the tolerance.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cases import Case

Shapes = Iterator[tuple[str, tuple[int, ...]]]

_ATTENTION = ("query.weight", "key.weight", "q_lin.weight", "k_lin.weight", ".q.weight", ".k.weight", "Wqkv.weight")


def values(case: Case, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Uniform random values that depend on the seed and the parameter's name only.

    Uniform, since that takes nothing but multiplications: the same bits on every machine.
    """
    if name.endswith("bias") and len(shape) == 1:
        centre, spread = 0.0, 0.2
    elif len(shape) == 1:  # the scale of a layer norm
        centre, spread = 1.0, 0.3
    elif "embeddings" in name:
        centre, spread = 0.0, 1.0
    elif name.endswith(_ATTENTION):  # scores far enough apart that masks and positions show
        centre, spread = 0.0, 2.5 * shape[-1] ** -0.5
    elif name.endswith("relative_attention_bias.weight"):
        centre, spread = 0.0, 2.0
    else:
        centre, spread = 0.0, 1.5 * shape[-1] ** -0.5
    stream = np.random.RandomState(zlib.crc32(f"{case.seed}/{name}".encode()))
    return (centre + spread * (2.0 * stream.random_sample(shape) - 1.0)).astype(np.float32)


def write_safetensors(path: Path, tensors: Mapping[str, NDArray[np.float32]], dtype: str = "F32") -> None:
    """A safetensors file: eight bytes of header length, a JSON header, the tensors. `dtype` is F32, F16 or BF16."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blocks: list[bytes] = []
    offset = 0
    for name, tensor in sorted(tensors.items()):
        if dtype == "BF16":  # the upper half of a float32, rounded to even
            bits = tensor.view(np.uint32).astype(np.uint64)
            block = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
        else:
            block = tensor.astype("<f4" if dtype == "F32" else "<f2").tobytes()
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [offset, offset + len(block)]}
        blocks.append(block)
        offset += len(block)
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + b"".join(blocks))


def _linear(name: str, outputs: int, inputs: int) -> Shapes:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, size: int) -> Shapes:
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)


def backbone_shapes(case: Case, vocabulary: int) -> Shapes:
    """Names and shapes of the backbone's parameters, as `AutoModel` expects them."""
    if case.backbone == "modernbert":
        yield from _modernbert_shapes(case, vocabulary)
    elif case.backbone == "distilbert":
        yield from _distilbert_shapes(case, vocabulary)
    else:
        yield from _bert_shapes(case, vocabulary)


def _bert_shapes(case: Case, vocabulary: int) -> Shapes:
    """BERT and its near kin: RoBERTa, XLM-R, MPNet."""
    hidden, mpnet = case.hidden, case.backbone == "mpnet"
    yield "embeddings.word_embeddings.weight", (vocabulary, hidden)
    yield "embeddings.position_embeddings.weight", (position_rows(case), hidden)
    if not mpnet:
        yield "embeddings.token_type_embeddings.weight", (2 if case.backbone == "bert" else 1, hidden)
    yield from _norm("embeddings.LayerNorm", hidden)
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
        yield from _linear(f"{at}.intermediate.dense", case.intermediate, hidden)
        yield from _linear(f"{at}.output.dense", hidden, case.intermediate)
        yield from _norm(f"{at}.output.LayerNorm", hidden)
    if case.pooler:
        yield from _linear("pooler.dense", hidden, hidden)


def _distilbert_shapes(case: Case, vocabulary: int) -> Shapes:
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


def _modernbert_shapes(case: Case, vocabulary: int) -> Shapes:
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


def position_rows(case: Case) -> int:
    """RoBERTa's positions begin behind the padding id, so its table has that many rows more."""
    return case.positions + (0 if case.backbone == "bert" else 2)
