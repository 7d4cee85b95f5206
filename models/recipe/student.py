"""The student: some of the teacher's layers over the reduced vocabulary, and a projection to 128 dimensions.

The stage copies evenly spaced layers, the last included. The projection is fitted to the teacher: the principal
axes of its token vectors. The teacher's projected vectors are the student's target in the first phase.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
from tokenizers import Tokenizer
from transformers import AutoModel

from recipe.encoder import PREFIXES
from recipe.layout import SKIPLIST
from recipe.projection import fit_projection, rarity
from recipe.teacher import Padded, Teacher

LAYERS = (0, 4, 8, 11)
LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")
DIM = 128
SAMPLE_BATCH = 32
PROJECTION = "projection.safetensors"
"""Projection from the teacher's normalised vectors to the student's space."""
LONGEST_QUERY = 64


def build_student(source: Path, encoder: Path, sample: Sequence[str], folder: Path) -> None:
    """Write ``config.json``, ``model.safetensors``, ``tokenizer.json``, ``dense`` and ``projection.safetensors``.

    ``sample``: documents that the projection is fitted on.
    """
    weights = load_file(encoder / "model.safetensors")
    kept = {}
    for name, value in weights.items():
        match = LAYER.fullmatch(name)
        if not match:
            kept[name] = value
        elif int(match[1]) in LAYERS:
            kept[f"encoder.layer.{LAYERS.index(int(match[1]))}.{match[2]}"] = value
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((encoder / "config.json").read_text())
    config["num_hidden_layers"] = len(LAYERS)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    shutil.copyfile(encoder / "tokenizer.json", folder / "tokenizer.json")

    teacher = Teacher(source, torch.device("cpu"))
    vectors, subwords = [], []
    for start in range(0, len(sample), SAMPLE_BATCH):
        rows, _ = teacher.ids("document", sample[start : start + SAMPLE_BATCH])
        hidden, mask = teacher.encode(rows)
        vectors.append(hidden[mask].numpy())
        subwords += [subword for row in rows for subword in row]
    weight, bias = fit_projection(np.concatenate(vectors), rarity(np.array(subwords)), DIM)
    save_file({"weight": weight, "bias": bias}, folder / PROJECTION)
    norm = weights[f"encoder.layer.{LAYERS[-1]}.output.LayerNorm.weight"]
    size = float(np.linalg.norm(norm))  # the norm of a LayerNorm's output is about that of its scale
    save_file({"linear.weight": np.ascontiguousarray(weight / size), "linear.bias": bias}, folder / "dense.safetensors")


class Student(torch.nn.Module):
    """Encoder and projection."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        # Eager attention: on CPU, the backward pass of PyTorch's fused attention doubles the time of a step.
        self.encoder = AutoModel.from_pretrained(
            folder, add_pooling_layer=False, attn_implementation="eager", dtype=torch.float32
        )
        dense = load_tensors(folder / "dense.safetensors")
        self.dense = torch.nn.Linear(dense["linear.weight"].shape[1], len(dense["linear.weight"]))
        self.dense.load_state_dict({name.removeprefix("linear."): value.float() for name, value in dense.items()})
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        skipped = [self.tokenizer.token_to_id(word) for word in SKIPLIST]
        self.register_buffer("skipped", torch.tensor([i for i in skipped if i is not None]), persistent=False)
        self.ends = self.tokenizer.encode("").ids
        self.prefixes = dict(zip(("query", "document"), map(self.tokenizer.token_to_id, PREFIXES), strict=True))

    @property
    def device(self) -> torch.device:
        return self.dense.weight.device

    def ids(self, role: str, texts: Sequence[str], longest: int) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
        """Ids of each text with prefix and special tokens, truncated to ``longest``, and the character span of each."""
        rows, places = [], []
        for encoded in self.tokenizer.encode_batch(list(texts), add_special_tokens=False):
            inner, offsets = encoded.ids[: longest - 3], encoded.offsets[: longest - 3]
            rows.append([self.ends[0], self.prefixes[role], *inner, self.ends[-1]])
            places.append([(0, 0), (0, 0), *offsets, (0, 0)])
        return rows, places

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Normalised token vectors ``(texts, tokens, dim)`` float32."""
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=ids.device.type == "cuda"):
            vectors = self.dense(self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state)
        return torch.nn.functional.normalize(vectors.float(), dim=-1)

    def encode(self, role: str, rows: Sequence[Sequence[int]]) -> Padded:
        """Vectors, and the mask of those used in MaxSim, which leaves out a document's punctuation."""
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(self.device)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).to(self.device)
        vectors = self(ids, mask)
        if role == "document":
            mask = mask & ~torch.isin(ids, self.skipped)  # type: ignore[arg-type]
        return vectors, mask

    def write(self, folder: Path, like: Path) -> None:
        """Write ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``dense.safetensors``."""
        for name in ("config.json", "tokenizer.json"):
            (folder / name).write_bytes((like / name).read_bytes())
        tensors = {name: value.contiguous() for name, value in self.encoder.state_dict().items()}
        save_tensors(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        dense = {f"linear.{name}": value for name, value in self.dense.state_dict().items()}
        save_tensors(dense, folder / "dense.safetensors")


def read_checkpoint(checkpoint: Path, folder: Path) -> None:
    """Write the student in a published checkpoint to ``folder``, in float32, to continue training."""
    config = json.loads((checkpoint / "config.json").read_text())
    config["torch_dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    shutil.copyfile(checkpoint / "tokenizer.json", folder / "tokenizer.json")
    for part, name in ((checkpoint, "model"), (checkpoint / "1_Dense", "dense")):
        tensors = {key: value.astype(np.float32) for key, value in load_file(part / "model.safetensors").items()}
        save_file(tensors, folder / f"{name}.safetensors", metadata={"format": "pt"})
