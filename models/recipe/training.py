"""Training: distils the teacher into the student. Each phase is a stage.

All random choices depend only on the seed and the step, and the rest of the state is saved every few minutes. An
interrupted phase therefore resumes, and ends with the same log. The result of a phase is a moving average of its
weights.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from recipe import heldout, losses
from recipe.batches import Batch, Mix, Sampler
from recipe.examples import read_documents
from recipe.student import LONGEST_QUERY, PROJECTION, Student
from recipe.switching import Switcher
from recipe.teacher import Teacher, align_tokens

logger = logging.getLogger(__name__)

REPORT = 20
SAVE_SECONDS = 120
CLIP = 1.0

Spans = list[tuple[int, int]]
"""Character span of each token of a text."""


@dataclass(frozen=True)
class Phase:
    """Settings of a training phase."""

    name: str
    mix: Mix
    weights: losses.Weights
    steps: int
    rate: float
    warmup: int
    decay: int
    """Final steps over which the learning rate falls to zero."""
    batch: int = 48
    longest: int = 160
    """Maximum tokens of a document, except joined passages."""
    seed: int = 0
    measure: int = 500
    """Steps between measurements of held-out quality; 0: only at the end."""
    average: float = 0.995
    """Decay of the moving average per step."""

    def rate_at(self, step: int) -> float:
        """Learning rate: linear warm-up, constant, linear decay."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = min(1.0, (self.steps - step) / max(1, self.decay))
        return self.rate * min(rise, fall)


def accelerator() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Projection:
    """The student's initial projection, applied to the teacher's vectors."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        axes = load_file(folder / PROJECTION, device=str(device))
        self.weight, self.bias = axes["weight"], axes["bias"]

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(vectors @ self.weight.T + self.bias, dim=-1)


def terms(
    student: Student, teacher: Teacher, projection: Projection | None, batch: Batch
) -> tuple[dict[str, torch.Tensor], int]:
    """Unweighted loss terms of a batch, and its number of student tokens."""
    rows, places = student.ids("document", batch.documents, batch.longest)
    asked_rows, _ = student.ids("query", batch.queries, LONGEST_QUERY)
    vectors, mask = student.encode("document", rows)
    queries, query_mask = student.encode("query", asked_rows)
    scores = losses.maxsim(queries, query_mask, vectors, mask)
    same = torch.tensor([[one == other for other in batch.documents] for one in batch.documents], device=scores.device)
    count = sum(map(len, rows)) + sum(map(len, asked_rows))
    if batch.asked is None:
        return {"pairs": (losses.pairs(scores, same) + losses.pairs(scores.T, same)) / 2}, count

    shown = [text[: max(end for _, end in spans)] for text, spans in zip(batch.documents, places, strict=True)]
    document_ids, document_places = teacher.ids("document", shown)
    query_ids, _ = teacher.ids("query", batch.asked)
    documents, document_mask = teacher.encode(document_ids)
    asked, asked_mask = teacher.encode(query_ids)
    wanted = losses.maxsim(asked, asked_mask, documents, document_mask)
    alike = torch.tensor([[one == other for other in batch.asked] for one in batch.asked], device=scores.device)
    found = {
        "ranking": losses.ranking(scores, wanted),
        "pairs": losses.pairs(scores, same | alike | losses.preferred(wanted)),
    }
    if projection is not None:
        found["tokens"] = losses.tokens(vectors, *_target(projection, documents, places, document_places))
    return found, count


def _target(
    projection: Projection, teacher: torch.Tensor, student: Sequence[Spans], known: Sequence[Spans]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The projected teacher vector of each student token, and the mask of tokens that have one."""
    longest = max(map(len, student))
    match = torch.zeros(len(student), longest, dtype=torch.long)
    mask = torch.zeros(len(student), longest, dtype=torch.bool)
    for at, (ours, theirs) in enumerate(zip(student, known, strict=True)):
        inner = [number for number, (start, end) in enumerate(theirs) if end > start]
        covered = align_tokens(ours[2:-1], [theirs[number] for number in inner]) if inner else []
        match[at, 2 : 2 + len(covered)] = torch.tensor([inner[number] for number in covered], dtype=torch.long)
        mask[at, 2 : 2 + len(covered)] = True
    match = match.to(teacher.device)
    return projection(teacher.gather(1, match[..., None].expand(-1, -1, teacher.shape[2]))), mask.to(teacher.device)


def train(phase: Phase, start: Path, source: Path, examples: Path, translations: Path, folder: Path) -> None:
    """Train the student in ``start``; writes the result, ``log.json`` and the resumable state to ``folder``.

    ``source`` is the teacher's folder.
    """
    torch.manual_seed(phase.seed)
    device = accelerator()
    student = Student(start).to(device)
    student.train()
    for module in student.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # no dropout: the teacher's targets are exact, and noise slows training down
    average = copy.deepcopy(student)
    teacher = Teacher(source, device)
    projection = Projection(start, device) if phase.weights.tokens else None
    optimiser = torch.optim.AdamW(student.parameters(), lr=phase.rate, weight_decay=0.01, betas=(0.9, 0.98), fused=True)
    documents = list(read_documents(examples))
    sampler = Sampler(documents, phase.mix, phase.batch, phase.longest, phase.seed, Switcher.load(translations))
    tasks = heldout.build_tasks(documents)
    log: dict[str, Any] = {"phase": phase.name, "tokens": 0, "seconds": 0.0, "steps": [], "held_out": []}
    step = 0
    state = folder / "state.pt"
    if state.exists():
        saved = torch.load(state, map_location=device)
        student.load_state_dict(saved["student"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        step, log = saved["step"], saved["log"]
        logger.info("%s: resuming at step %d", phase.name, step)
    saved_at = clock = time.monotonic()
    sums: dict[str, list[float]] = {}
    while step < phase.steps:
        if phase.measure and step % phase.measure == 0:
            _measure(average, tasks, step, log, phase.name)
        found, tokens = terms(student, teacher, projection, sampler.batch(step))
        torch.stack([getattr(phase.weights, name) * value for name, value in found.items()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), CLIP)
        for group in optimiser.param_groups:
            group["lr"] = phase.rate_at(step)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        _follow(average, student, min(phase.average, step / (step + 10)))
        log["tokens"] += tokens
        for name, value in found.items():
            sums.setdefault(name if len(found) > 1 else "translations", []).append(float(value.detach()))
        now = time.monotonic()
        if step % REPORT == 0:
            log["seconds"] += now - clock
            clock = now
            means = {name: round(sum(values) / len(values), 4) for name, values in sums.items()}
            log["steps"].append({"step": step, **means})
            logger.info("%s: step %d %s, %.0f s", phase.name, step, means, log["seconds"])
            sums = {}
            if now - saved_at > SAVE_SECONDS or step % (5 * REPORT) == 0:
                _save(state, {"student": student, "average": average, "optimiser": optimiser}, step, log)
                saved_at = time.monotonic()
    _measure(average, tasks, step, log, phase.name)
    average.write(folder, start)
    if (start / PROJECTION).exists():
        (folder / PROJECTION).write_bytes((start / PROJECTION).read_bytes())
    (folder / "log.json").write_text(json.dumps(log, indent=1) + "\n")
    state.unlink(missing_ok=True)


@torch.no_grad()
def _follow(average: Student, student: Student, kept: float) -> None:
    for mean, value in zip(average.parameters(), student.parameters(), strict=True):
        mean.lerp_(value, 1 - kept)


def _measure(student: Student, tasks: list[heldout.Task], step: int, log: dict[str, Any], name: str) -> None:
    if log["held_out"] and log["held_out"][-1]["step"] == step:
        return
    student.eval()
    result = heldout.measure(tasks, student)
    student.train()
    log["held_out"].append({"step": step, **result})
    logger.info("%s: step %d held out %s", name, step, {key: result[key] for key in ("own", "foreign")})


def _save(path: Path, parts: Mapping[str, Any], step: int, log: Mapping[str, Any]) -> None:
    aside = path.with_suffix(".part")
    torch.save({**{name: part.state_dict() for name, part in parts.items()}, "step": step, "log": dict(log)}, aside)
    aside.replace(path)
