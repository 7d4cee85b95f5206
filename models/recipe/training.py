"""The phases of training, a stage each: distil the teacher into the student.

A run is described by ``Phase``; everything that it draws follows from the seed and the step, and a checkpoint every
few minutes holds the rest, so a killed run goes on where it was and ends with the same log.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModel

from recipe import heldout, losses
from recipe.batches import Batch, Cache, Mix, Sampler, Side
from recipe.layout import SKIPLIST
from recipe.switching import Lexicon, Switcher

logger = logging.getLogger(__name__)

REPORT = 50
SAVE_SECONDS = 180
CLIP = 1.0


@dataclass(frozen=True)
class Phase:
    """One phase of training."""

    name: str
    mix: Mix
    weights: losses.Weights
    steps: int
    rate: float
    warmup: int
    decay: int
    """Steps at the end over which the rate falls to zero."""
    batch: int = 64
    longest: int = 160
    seed: int = 0
    measure: int = 1_000
    """Steps between measurements of held-out quality; 0 for the end alone."""

    def rate_at(self, step: int) -> float:
        """Learning rate: linear warm-up, constant, linear decay."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = min(1.0, (self.steps - step) / max(1, self.decay))
        return self.rate * min(rise, fall)


class Student(torch.nn.Module):
    """Encoder and projection."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        # Eager attention: on CPU the backward pass of PyTorch's fused attention takes as long as all else together
        # (64 x 96 tokens, 4 layers of 384, bfloat16, 2 threads: .60 s against .29 s for the whole backward pass).
        self.encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager")
        dense = load_file(folder / "dense.safetensors")
        self.dense = torch.nn.Linear(dense["linear.weight"].shape[1], len(dense["linear.weight"]))
        self.dense.load_state_dict({name.removeprefix("linear."): value for name, value in dense.items()})
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        skipped = [tokenizer.token_to_id(word) for word in SKIPLIST]
        self.register_buffer("skipped", torch.tensor([i for i in skipped if i is not None]), persistent=False)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Normalised token vectors ``(texts, tokens, dim)`` float32."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dense.weight.dtype != torch.bfloat16):
            hidden = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
            vectors = self.dense(hidden)
        return torch.nn.functional.normalize(vectors.float(), dim=-1)

    def encode(self, side: Side, role: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors, and the mask of those that take part in MaxSim: documents go without punctuation."""
        mask = side.mask
        if role == "document":
            mask = mask & ~torch.isin(side.ids, self.skipped)  # type: ignore[arg-type]
        return self(side.ids, side.mask), mask

    def write(self, folder: Path, like: Path) -> None:
        """Write ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``dense.safetensors``."""
        for name in ("config.json", "tokenizer.json"):
            (folder / name).write_bytes((like / name).read_bytes())
        tensors = {name: value.contiguous() for name, value in self.encoder.state_dict().items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        dense = {f"linear.{name}": value for name, value in self.dense.state_dict().items()}
        save_file(dense, folder / "dense.safetensors")


def terms(student: Student, batch: Batch, cache: Cache, weights: losses.Weights) -> dict[str, torch.Tensor]:
    """The loss terms of a batch, unweighted."""
    vectors, mask = student.encode(batch.documents, "document")
    found = {"tokens": losses.tokens(vectors, target(batch.documents, cache), anchors(batch.documents))}
    if batch.queries is None:
        return found
    queries, query_mask = student.encode(batch.queries, "query")
    asked = losses.tokens(queries, target(batch.queries, cache), anchors(batch.queries))
    found["tokens"] = (found["tokens"] + asked) / 2
    scores = losses.maxsim(queries, query_mask, vectors, mask)
    with torch.no_grad():
        wanted = losses.maxsim(
            batch.queries.teacher, batch.queries.teacher_mask, batch.documents.teacher, batch.documents.teacher_mask
        )
    found["ranking"] = losses.ranking(scores, wanted)
    if weights.pairs:
        found["pairs"] = losses.pairs(scores, wanted)
    return found


def anchors(side: Side) -> torch.Tensor:
    """The tokens that have a target, ``(texts, tokens)``."""
    return side.mask & side.anchored[:, None]


def target(side: Side, cache: Cache) -> torch.Tensor:
    """The teacher's vector of each student token, projected to the student's dimensions."""
    with torch.no_grad():
        matched = side.teacher.gather(1, side.match[..., None].expand(-1, -1, side.teacher.shape[2]))
        return torch.nn.functional.normalize(matched @ cache.weight.T + cache.bias, dim=-1)


def train(
    phase: Phase, start: Path, cache_folder: Path, examples: Path, lexicon: Lexicon | None, folder: Path,
    spelled: Path | None = None,
) -> None:  # fmt: skip
    """Train from the student in ``start``; the result, ``log.json`` and the resumable state go to ``folder``.

    Without ``lexicon`` no words are replaced. ``spelled`` holds the texts in other pieces than the teacher stage's.
    """
    torch.manual_seed(phase.seed)
    cache = Cache(cache_folder, spelled)
    student = Student(start)
    student.train()
    for module in student.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # the teacher's vectors are exact: noise only slows the student down
    halved = copy.deepcopy(student).bfloat16()
    optimiser = torch.optim.AdamW(student.parameters(), lr=phase.rate, weight_decay=0.01, betas=(0.9, 0.98), fused=True)
    switcher = None
    if lexicon is not None:
        switcher = Switcher(Tokenizer.from_file(str(start / "tokenizer.json")), lexicon)
    sampler = Sampler(cache, examples, phase.mix, phase.batch, phase.longest, phase.seed, switcher)
    tasks = heldout.build_tasks(examples)
    log: dict[str, Any] = {"phase": phase.name, "tokens": 0, "seconds": 0.0, "steps": [], "held_out": []}
    step = 0
    state = folder / "state.pt"
    if state.exists():
        saved = torch.load(state)
        student.load_state_dict(saved["student"])
        optimiser.load_state_dict(saved["optimiser"])
        step, log = saved["step"], saved["log"]
        _copy_weights(student, halved)
        logger.info("%s: going on at step %d", phase.name, step)
    elif phase.measure:
        log["teacher"] = heldout.measure(cache, tasks, heldout.teacher_encode)
        logger.info("%s: teacher %s", phase.name, _brief(log["teacher"]))
    saved_at = clock = time.monotonic()
    sums: dict[str, list[float]] = {}
    while step < phase.steps:
        if phase.measure and step % phase.measure == 0:
            _measure(student, cache, tasks, step, log, phase.name)
        batch = sampler.batch(step)
        found = terms(halved, batch, cache, phase.weights)
        loss = torch.stack([getattr(phase.weights, name) * value for name, value in found.items()]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        _move_gradients(halved, student)
        torch.nn.utils.clip_grad_norm_(student.parameters(), CLIP)
        for group in optimiser.param_groups:
            group["lr"] = phase.rate_at(step)
        optimiser.step()
        optimiser.zero_grad()
        _copy_weights(student, halved)
        step += 1
        log["tokens"] += int(batch.documents.mask.sum()) + (int(batch.queries.mask.sum()) if batch.queries else 0)
        for name, value in found.items():
            sums.setdefault(name, []).append(float(value.detach()))
        if step % REPORT == 0:
            now = time.monotonic()
            log["seconds"] += now - clock
            clock = now
            means = {name: round(sum(values) / len(values), 4) for name, values in sums.items()}
            log["steps"].append({"step": step, **means})
            logger.info("%s: step %d %s, %.0f s", phase.name, step, means, log["seconds"])
            sums = {}
            if now - saved_at > SAVE_SECONDS:
                _save(state, {"student": student, "optimiser": optimiser}, step, log)
                saved_at = time.monotonic()
    _measure(student, cache, tasks, step, log, phase.name)
    student.write(folder, start)
    (folder / "log.json").write_text(json.dumps(log, indent=1) + "\n")
    state.unlink(missing_ok=True)


def _move_gradients(source: Student, target: Student) -> None:
    """Forward and backward passes run in bfloat16 (15 % faster than autocast), the optimiser keeps float32 weights."""
    for ours, theirs in zip(target.parameters(), source.parameters(), strict=True):
        if theirs.grad is not None:
            ours.grad = theirs.grad.float()
            theirs.grad = None


@torch.no_grad()
def _copy_weights(source: Student, target: Student) -> None:
    for ours, theirs in zip(target.parameters(), source.parameters(), strict=True):
        ours.copy_(theirs)


def _measure(
    student: Student, cache: Cache, tasks: list[heldout.Task], step: int, log: dict[str, Any], name: str
) -> None:
    if log["held_out"] and log["held_out"][-1]["step"] == step:
        return
    student.eval()
    result = heldout.measure(cache, tasks, student.encode)
    student.train()
    log["held_out"].append({"step": step, **result})
    logger.info("%s: step %d held out %s", name, step, _brief(result))


def _save(path: Path, parts: Mapping[str, Any], step: int, log: Mapping[str, Any]) -> None:
    aside = path.with_suffix(".part")
    torch.save({**{name: part.state_dict() for name, part in parts.items()}, "step": step, "log": dict(log)}, aside)
    aside.replace(path)


def _brief(result: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in result.items() if name in ("own", "foreign") or name.startswith("office")}
