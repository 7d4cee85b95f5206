"""Stage *projection*: 384 -> 128 dimensions from the encoder's own token vectors, without training.

The axes are the principal components of token vectors from which their language's mean has been taken: what tells
languages apart would only take up dimensions, and keep a question away from an answer in another language. Rare
pieces count more than frequent ones, since function words decide few searches. The bias takes away most of the
overall mean: it is common to all token vectors, carries nothing, and makes int8 storage worse.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from itertools import islice
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
MESSAGES_PER_LANGUAGE = 110
WORDS_PER_LANGUAGE = 30_000
MIXTURES_PER_LANGUAGE = 60
WORDS_PER_MIXTURE = 80
CAPITALISED = 0.2
"""Share of capitalised words in a mixture."""
SEED = 0
LONGEST = 256
BATCH = 16
THREADS = 2
"""Fixed, because the order of a sum depends on it: two builds on one machine give the same bytes."""

Matrix = NDArray[np.float32]
Ids = NDArray[np.int64]


def spread(items: Sequence[str], count: int) -> list[str]:
    """``count`` items at even distances, or all of them."""
    if len(items) <= count:
        return list(items)
    return [items[position * len(items) // count] for position in range(count)]


def mixtures(words: Sequence[tuple[str, float]], count: int, length: int, seed: int) -> list[str]:
    """``count`` passages of ``length`` words drawn by the root of their frequency.

    Translated messages are narrow; these passages have no grammar but the vocabulary's whole breadth, and the
    projection that they give keeps more of the ranking than one from messages alone (see the model card).
    """
    draw = random.Random(seed)
    forms = [word for word, _ in words]
    weights = [frequency**0.5 for _, frequency in words]
    found = []
    for _ in range(count):
        chosen = draw.choices(forms, weights, k=length)
        found.append(" ".join(word.capitalize() if draw.random() < CAPITALISED else word for word in chosen))
    return found


def fit_projection(
    vectors: Matrix, groups: Ids, weights: NDArray[np.float64], dim: int, mean: float = MEAN
) -> tuple[Matrix, Matrix]:
    """``(dim, hidden)`` weight and ``(dim,)`` bias of the projection, axes by falling variance within the groups.

    ``vectors`` is ``(tokens, hidden)``, ``groups`` the language of each token, ``weights`` how much a token counts.
    The sign of an axis is fixed by its largest component, so that equal input gives equal output.
    """
    vectors = vectors.astype(np.float64)
    weights = weights / weights.sum()
    residual = vectors.copy()
    for group in np.unique(groups):
        rows = groups == group
        residual[rows] -= np.average(vectors[rows], axis=0, weights=weights[rows])
    _, axes = np.linalg.eigh((residual * weights[:, None]).T @ residual)
    weight = axes[:, ::-1][:, :dim].T
    weight = weight * np.sign(weight[np.arange(len(weight)), np.abs(weight).argmax(axis=1)])[:, None]
    bias = -mean * weight @ (weights @ vectors)
    return np.ascontiguousarray(weight, dtype=np.float32), bias.astype(np.float32)


def rarity(ids: Ids) -> NDArray[np.float64]:
    """Weight of each token, one over the root of how often its piece occurs: content words before function words."""
    return 1 / np.sqrt(np.bincount(ids)[ids])


@torch.inference_mode()
def token_vectors(encoder: Path, texts: Sequence[str], prefix: str) -> tuple[Matrix, Ids, Ids]:
    """Last hidden states ``(tokens, hidden)`` of the texts, with each token's id and text number."""
    torch.set_num_threads(THREADS)
    model = AutoModel.from_pretrained(encoder, add_pooling_layer=False).eval()
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST - 1)
    role = tokenizer.token_to_id(prefix)
    ids = [[e.ids[0], role, *e.ids[1:]] for e in tokenizer.encode_batch(list(texts))]
    hidden: list[Matrix] = [np.empty(0, np.float32)] * len(ids)
    by_length = sorted(range(len(ids)), key=lambda text: len(ids[text]))
    for start in range(0, len(ids), BATCH):
        chosen = by_length[start : start + BATCH]
        rows = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids[text]) for text in chosen], batch_first=True)
        lengths = torch.tensor([len(ids[text]) for text in chosen])
        mask = (torch.arange(rows.shape[1]) < lengths[:, None]).long()
        states = model(rows, attention_mask=mask).last_hidden_state.numpy()
        for text, state in zip(chosen, states, strict=True):
            hidden[text] = state[: len(ids[text])]
    groups = np.repeat(np.arange(len(ids)), [len(text) for text in ids])
    return np.concatenate(hidden), np.concatenate([np.array(text) for text in ids]), groups


def build_projection(encoder: Path, words: Path, messages: Path, prefix: str, folder: Path, dim: int = DIM) -> None:
    """Write ``model.safetensors`` of the Dense layer to ``folder``."""
    texts: list[str] = []
    languages: list[int] = []
    for number, (language, translated) in enumerate(sorted(corpus.messages(messages).items())):
        frequent = list(islice(corpus.word_frequencies(words, language), WORDS_PER_LANGUAGE))
        chosen = spread(translated, MESSAGES_PER_LANGUAGE)
        chosen += mixtures(frequent, MIXTURES_PER_LANGUAGE, WORDS_PER_MIXTURE, SEED)
        texts += chosen
        languages += [number] * len(chosen)
    logger.info("projection: encoding %d texts", len(texts))
    vectors, ids, numbers = token_vectors(encoder, texts, prefix)
    weight, bias = fit_projection(vectors, np.array(languages)[numbers], rarity(ids), dim)
    save_file({"linear.bias": bias, "linear.weight": weight}, folder / "model.safetensors", metadata={"format": "pt"})
    logger.info("projection: fitted on %d token vectors", len(vectors))
