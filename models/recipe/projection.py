"""Stage *projection*: 384 -> 128 dimensions from the encoder's own token vectors, without training.

The axes are the principal components of how token vectors differ *within* a passage: what tells one token of a text
from the others is what MaxSim needs, while what all tokens of a passage share (its language, its genre) would only
take up dimensions. The mean goes into the bias: it is common to all token vectors, carries nothing, and makes
int8 storage worse.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from transformers import AutoModel

from recipe import corpus

logger = logging.getLogger(__name__)

DIM = 128
MEAN = 0.8
"""Share of the mean that the bias removes."""
PASSAGE_CHARACTERS = 400
PASSAGES_PER_LANGUAGE = 60
LONGEST = 256
THREADS = 2
"""Fixed, because the order of a sum depends on it: two builds on one machine give the same bytes."""

Matrix = NDArray[np.float32]


def passages(texts: Sequence[str], characters: int) -> list[str]:
    """Neighbouring texts joined until each passage is at least that long; a shorter rest is dropped."""
    found, current = [], ""
    for text in texts:
        current = f"{current} {text}".strip()
        if len(current) >= characters:
            found.append(current)
            current = ""
    return found


def spread(items: Sequence[str], count: int) -> list[str]:
    """``count`` items at even distances, or all of them."""
    if len(items) <= count:
        return list(items)
    return [items[position * len(items) // count] for position in range(count)]


def fit_projection(
    vectors: Matrix, groups: NDArray[np.int64], weights: NDArray[np.float64], dim: int, mean: float = MEAN
) -> tuple[Matrix, Matrix]:
    """``(dim, hidden)`` weight and ``(dim,)`` bias of the projection, axes by falling variance.

    ``vectors`` is ``(tokens, hidden)``, ``groups`` the passage of each token, ``weights`` how much a token counts.
    Signs are fixed by each axis' largest component, so that equal input gives equal output.
    """
    vectors = vectors.astype(np.float64)
    weights = weights / weights.sum()
    totals = np.zeros((groups.max() + 1, vectors.shape[1]))
    np.add.at(totals, groups, vectors)
    centres = totals / np.maximum(np.bincount(groups), 1)[:, None]
    residual = vectors - centres[groups]
    covariance = (residual * weights[:, None]).T @ residual
    _, axes = np.linalg.eigh(covariance)
    weight = axes[:, ::-1][:, :dim].T
    weight = weight * np.sign(weight[np.arange(len(weight)), np.abs(weight).argmax(axis=1)])[:, None]
    bias = -mean * weight @ (weights @ vectors)
    return np.ascontiguousarray(weight, dtype=np.float32), bias.astype(np.float32)


def rarity(ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weight of each token, one over the root of how often its piece occurs: content words before function words."""
    return 1 / np.sqrt(np.bincount(ids)[ids])


@torch.inference_mode()
def token_vectors(encoder: Path, texts: Sequence[str], prefix: str) -> tuple[Matrix, NDArray, NDArray]:
    """Normalised last hidden states ``(tokens, hidden)`` of the texts, with each token's id and text number."""
    torch.set_num_threads(THREADS)
    model = AutoModel.from_pretrained(encoder, add_pooling_layer=False).eval()
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST - 1)
    role = tokenizer.token_to_id(prefix)
    hidden, ids = [], []
    for encoding in tokenizer.encode_batch(list(texts)):
        text_ids = [encoding.ids[0], role, *encoding.ids[1:]]
        state = model(input_ids=torch.tensor([text_ids])).last_hidden_state[0]
        hidden.append(torch.nn.functional.normalize(state, dim=-1).numpy())
        ids.append(np.array(text_ids))
    groups = np.repeat(np.arange(len(ids)), [len(i) for i in ids])
    return np.concatenate(hidden), np.concatenate(ids), groups


def build_projection(encoder: Path, messages: Path, prefix: str, folder: Path, dim: int = DIM) -> None:
    """Write ``model.safetensors`` of the Dense layer to ``folder``."""
    texts = []
    for language, translated in sorted(corpus.messages(messages).items()):
        chosen = spread(passages(translated, PASSAGE_CHARACTERS), PASSAGES_PER_LANGUAGE)
        logger.info("projection: %d passages of %s", len(chosen), language)
        texts += chosen
    vectors, ids, groups = token_vectors(encoder, texts, prefix)
    weight, bias = fit_projection(vectors, groups, rarity(ids), dim)
    save_file({"linear.bias": bias, "linear.weight": weight}, folder / "model.safetensors", metadata={"format": "pt"})
    logger.info("projection: fitted on %d token vectors", len(vectors))
