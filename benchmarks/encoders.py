"""Encoders with random weights in the shape of the smallest target, as torch modules and as ONNX files."""

from __future__ import annotations

import json
import logging
import re
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["bert", "modernbert"]
KINDS: tuple[Kind, ...] = ("bert", "modernbert")
Attention = Literal["sdpa", "eager"]
"""transformers' attention: PyTorch's fused operator (the default), or products and a softmax."""

LAYERS, HIDDEN, HEADS, FFN, VOCABULARY, POSITIONS, DIM = 10, 288, 12, 512, 30522, 2048, 128
Ids = NDArray[np.int64]
"""(1, tokens) of one text."""


def encoder(kind: Kind, attention: Attention) -> Any:
    """A `latelite_export.encoder.Encoder` with fixed random weights per kind."""
    import torch
    from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel

    from latelite_export.architectures import ARCHITECTURES
    from latelite_export.checkpoint import DenseLayer
    from latelite_export.configuration import Configuration
    from latelite_export.encoder import Dense, Encoder
    from latelite_export.weights import Backbone

    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": FFN,
        "max_position_embeddings": POSITIONS,
        "attn_implementation": attention,
    }
    special: dict[str, Any] = {
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "cls_token_id": 1,
        "sep_token_id": 2,
    }
    if kind == "bert":
        backbone: Any = BertModel(BertConfig(**sizes), add_pooling_layer=False)
    else:
        backbone = ModernBertModel(ModernBertConfig(**sizes, **special, reference_compile=False))
    with torch.no_grad():
        for name, weight in backbone.named_parameters():
            if weight.dim() == 2:
                weight.normal_(0.0, 1.0 if "embed" in name else 1.2 * weight.shape[1] ** -0.5)
            else:
                weight.normal_(0.0 if name.endswith("bias") else 1.0, 0.1)
    configuration = Configuration(Path(), backbone.config.to_dict(), backbone.config, ARCHITECTURES[kind])
    layer = DenseLayer(HIDDEN, DIM, False, "torch.nn.modules.linear.Identity", False, Path())
    dense = Dense(layer, {"weight": torch.nn.Linear(HIDDEN, DIM, bias=False).weight.detach()})
    source = Backbone(backbone, configuration, dict(backbone.state_dict()))
    return Encoder(source, [dense], ("input_ids", "attention_mask")).eval()


def write_plain(kind: Kind, folder: Path) -> dict[str, Path]:
    """``plain fp32`` and ``plain int8``: a trace as it is, and that through onnxruntime's quantize_dynamic."""
    import onnx

    from latelite_export import trace

    fp32, int8 = (folder / f"{kind}-plain-{precision}.onnx" for precision in ("fp32", "int8"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        onnx.save(trace.trace(encoder(kind, "eager")), fp32)
    quantize_plain(fp32, int8)
    return {"plain fp32": fp32, "plain int8": int8}


def quantize_plain(fp32: Path, int8: Path) -> None:
    """Quantise a graph by onnxruntime's quantize_dynamic, per channel, as optimum ships it."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It recommends a pre-processing step, through the root logger.
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(
            fp32,
            int8,
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    finally:
        logging.disable(logging.NOTSET)


def write_fused(kind: Kind, folder: Path) -> dict[str, Path]:
    """Write ``fused fp32`` and ``fused int8``, as latelite-export does."""
    import onnx

    from latelite_export import graph
    from latelite_export.quantize import quantize

    fused = graph.write(encoder(kind, "eager"), masked=False)
    if fused is None:
        raise RuntimeError(f"latelite-export has no fused graph for {kind}.")
    fp32, int8 = (folder / f"{kind}-fused-{precision}.onnx" for precision in ("fp32", "int8"))
    onnx.save(fused, fp32)
    onnx.save(quantize(fused, "int8"), int8)
    return {"fused fp32": fp32, "fused int8": int8}


def random_text(tokens: int, *, vocabulary: int | None = None, seed: int = 1) -> Ids:
    """Ids from the upper part of a vocabulary (None: that of these encoders), which has no special tokens."""
    return _ids(np.random.default_rng(seed), tokens, vocabulary)


def mixed_texts(data: Path | None, *, vocabulary: int | None = None, texts: int = 96, longest: int = 300) -> list[Ids]:
    """Random ids, shortest text first.

    Args:
        data: corpus.jsonl to take text lengths from, at 1.35 tokens per word; None: lengths from a log-normal
            distribution with median 110 and sigma 0.6.
        vocabulary: number of ids; None: that of these encoders.
        texts: number of texts.
        longest: maximum length in tokens.
    """
    stream = np.random.default_rng(0)
    if data is None:
        lengths = np.clip(np.exp(stream.normal(np.log(110), 0.6, texts)), 12, longest).astype(int)
    else:
        with data.open(encoding="utf-8") as file:
            lines = [json.loads(line) for _, line in zip(range(texts), file, strict=False)]
        words = [len(re.findall(r"\w+", f"{line.get('title', '')} {line['text']}")) for line in lines]
        lengths = np.clip(3 + np.array(words) * 1.35, 4, longest).astype(int)
    return [_ids(stream, length, vocabulary) for length in sorted(lengths)]


def _ids(stream: np.random.Generator, tokens: int, vocabulary: int | None) -> Ids:
    vocabulary = vocabulary or VOCABULARY
    return stream.integers(min(1000, vocabulary // 2), vocabulary, (1, tokens))
