"""Training with PyLate's losses and Sentence Transformers' trainer, within a time budget."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict
from pylate import losses, models, utils
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.training_args import BatchSamplers, MultiDatasetBatchSamplers
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from finetune import general
from latelite.mining import Pair

logger = logging.getLogger(__name__)

PLAN = "plan.json"
_WARMUP = 0.1
_TIMED = 3  # steps timed to estimate the duration of one
_EVALUATIONS = 10  # per run: held-out loss measured and state saved
_APART = 5  # minimum steps between two evaluations
_PATIENCE = 3


@dataclass(frozen=True)
class Settings:
    """All settings of a run."""

    batch: int = 32
    rate: float = 5e-5
    temperature: float = 0.3
    """Temperature of the contrastive loss, for scores that are sums over the query's tokens."""
    document_length: int = 180
    """Maximum document tokens in training; the checkpoint keeps its own setting."""
    query_length: int = 40
    general: float = 0.25
    """Share of batches with general pairs."""
    epochs: float = 3.0
    """Maximum number of epochs; `minutes` and `steps`, if given, may end training earlier."""
    minutes: float | None = 60.0
    steps: int | None = None
    seed: int = 0


def train(
    base: str, pairs: Sequence[Pair], held_out: Sequence[Pair], others: Sequence[Pair], work: Path, settings: Settings
) -> dict[str, Any]:
    """Train from ``base`` and write ``work/checkpoint``. An interrupted run resumes.

    Args:
        base: checkpoint folder or hub id.
        pairs: training pairs.
        held_out: pairs whose loss decides on early stopping.
        others: general pairs, see `finetune.general`.
        work: folder of the run's state.
        settings: of the run.

    Returns:
        ``steps``, ``minutes``, ``log`` (the trainer's) and ``stopped_early``.
    """
    torch.manual_seed(settings.seed)
    model = models.ColBERT(base, device=None if torch.cuda.is_available() else "cpu")
    own = model.document_length, model.query_length
    model.document_length = min(settings.document_length, own[0])
    model.query_length = min(settings.query_length, own[1])
    data, functions = _datasets(model, pairs, others, settings)
    steps = _plan_steps(work, model, data, functions, settings)
    measured = Dataset.from_list(measured_rows(held_out))
    every = max(min(steps, _APART), steps // _EVALUATIONS)
    trainer = SentenceTransformerTrainer(
        model=model,
        args=_arguments(work, settings, steps, every),
        train_dataset=data,
        eval_dataset=DatasetDict({"pairs": measured}),
        loss=functions,
        data_collator=utils.ColBERTCollator(tokenize_fn=model.tokenize),
        callbacks=[EarlyStoppingCallback(_PATIENCE), _Clock(work / "clock.json", settings.minutes)],
    )
    last = get_last_checkpoint(str(work / "trainer")) if (work / "trainer").exists() else None
    if last:
        print(f"resuming from {Path(last).name}", flush=True)
    trainer.train(resume_from_checkpoint=last)
    model.document_length, model.query_length = own
    model.save_pretrained(str(work / "checkpoint"), create_model_card=False)
    state = trainer.state
    return {
        "steps": state.global_step,
        "steps_planned": steps,
        "minutes": round(json.loads((work / "clock.json").read_text())["seconds"] / 60, 1),
        "stopped_early": state.global_step < steps,
        "log": state.log_history,
    }


def _row(pair: Pair) -> dict[str, Any]:
    row = {"query": pair.query, "positive": pair.positive}
    return row if not pair.negatives else {**row, "negative": pair.negatives[0]}


def measured_rows(held_out: Sequence[Pair]) -> list[dict[str, Any]]:
    """Rows of the held-out pairs with the same columns: those with negatives if they are the majority."""
    hard = [pair for pair in held_out if pair.negatives]
    if 2 * len(hard) >= len(held_out):
        return [_row(pair) for pair in hard]
    return [{"query": pair.query, "positive": pair.positive} for pair in held_out]


def _datasets(
    model: models.ColBERT, pairs: Sequence[Pair], others: Sequence[Pair], settings: Settings
) -> tuple[DatasetDict, dict[str, Any]]:
    """Rows and loss by kind of data; a batch has rows of one kind."""
    draw = random.Random(settings.seed)
    contrastive = losses.Contrastive(model, temperature=settings.temperature)
    distillation = losses.Distillation(model, normalize_scores=False)
    found: dict[str, Dataset] = {}
    scored = [pair for pair in pairs if pair.scores]
    if scored:
        ways = min(len(pair.scores) for pair in scored)
        rows = [
            {"query": p.query, "documents": [p.positive, *p.negatives][:ways], "scores": list(p.scores[:ways])}
            for p in scored
        ]
        found["scored"] = Dataset.from_list(rows)
    for name, chosen in (
        ("pairs", [pair for pair in pairs if not pair.scores and pair.negatives]),
        ("bare", [pair for pair in pairs if not pair.scores and not pair.negatives]),
    ):
        if len(chosen) >= settings.batch or (chosen and not found):
            rows = [{**_row(p), **({"negative": draw.choice(p.negatives)} if p.negatives else {})} for p in chosen]
            found[name] = Dataset.from_list(rows)
    if settings.general and others:
        count = round(sum(map(len, found.values())) * settings.general / (1 - settings.general))
        if settings.steps:
            count = min(count, settings.steps * settings.batch)
        rows = general.scored(others, model, max(count, settings.batch), settings.seed)
        found["general"] = Dataset.from_list(rows)
    functions = {name: distillation if name in ("scored", "general") else contrastive for name in found}
    # Held-out pairs always use the contrastive loss.
    return DatasetDict(found), {**functions, "pairs": contrastive}


def _arguments(work: Path, settings: Settings, steps: int, every: int) -> SentenceTransformerTrainingArguments:
    return SentenceTransformerTrainingArguments(
        output_dir=str(work / "trainer"),
        max_steps=steps,
        per_device_train_batch_size=settings.batch,
        per_device_eval_batch_size=settings.batch,
        learning_rate=settings.rate,
        warmup_steps=max(1, round(_WARMUP * steps)),
        weight_decay=0.0,
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        multi_dataset_batch_sampler=MultiDatasetBatchSamplers.PROPORTIONAL,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        logging_steps=max(1, every // 5),
        load_best_model_at_end=True,
        metric_for_best_model="eval_pairs_loss",
        greater_is_better=False,
        dataloader_drop_last=False,
        report_to=[],
        seed=settings.seed,
    )


def _plan_steps(
    work: Path, model: models.ColBERT, data: DatasetDict, functions: dict[str, Any], settings: Settings
) -> int:
    """The number of steps that fits the minutes and the epochs. Decided once per run."""
    path = work / PLAN
    if path.exists():
        return int(json.loads(path.read_text())["steps"])
    whole = max(1, round(settings.epochs * sum(map(len, data.values())) / settings.batch))
    steps = min(whole, settings.steps or whole)
    if settings.steps is None and settings.minutes:
        seconds = _seconds(model, data, functions, settings)
        # A tenth of the time is for evaluation and saving.
        steps = max(_EVALUATIONS, min(steps, int(0.9 * 60 * settings.minutes / seconds)))
        print(f"{seconds:.1f} s a step: {steps:,} steps of {whole:,}", flush=True)
    path.write_text(json.dumps({"steps": steps, "settings": asdict(settings)}, indent=1) + "\n")
    return steps


def _seconds(model: models.ColBERT, data: DatasetDict, functions: dict[str, Any], settings: Settings) -> float:
    """Mean duration of a step over the kinds of data; its gradients are discarded."""
    collate = utils.ColBERTCollator(tokenize_fn=model.tokenize)
    total = 0.0
    rows = sum(map(len, data.values()))
    for name, some in data.items():
        batch = collate([some[at % len(some)] for at in range(settings.batch)])
        names = [each for each in some.column_names if each != "scores"]
        features = [
            {key.removeprefix(f"{each}_"): value for key, value in batch.items() if key.startswith(f"{each}_")}
            for each in names
        ]
        features = [
            {key: value.to(model.device) for key, value in each.items() if hasattr(value, "to")} for each in features
        ]
        labels = batch.get("label")
        start = time.monotonic()
        for _ in range(_TIMED):
            functions[name](features, None if labels is None else labels.to(model.device)).backward()
        model.zero_grad()
        total += (time.monotonic() - start) / _TIMED * len(some) / rows
    return total


class _Clock(TrainerCallback):
    """Adds up the training time over interruptions, and ends training when the time is used up."""

    def __init__(self, path: Path, minutes: float | None) -> None:
        self._path = path
        self._limit = None if minutes is None else 60 * minutes
        self._before = json.loads(path.read_text())["seconds"] if path.exists() else 0.0
        self._start = time.monotonic()

    def _seconds(self) -> float:
        return float(self._before + time.monotonic() - self._start)

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if self._limit is not None and self._seconds() > self._limit:
            control.should_evaluate = control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._path.write_text(json.dumps({"seconds": round(self._seconds(), 1)}))

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.on_save(args, state, control)
