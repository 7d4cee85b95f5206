"""Cached stages: a stage runs again only if something that it depends on has changed."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

logger = logging.getLogger(__name__)

RECORD = "stage.json"


def code_digest(*modules: ModuleType) -> str:
    """Digest of the modules' source, so that editing a stage makes it run again."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:16]


def run_stage(
    work: Path, name: str, inputs: Mapping[str, object], build: Callable[[Path], None], resumable: bool = False
) -> Path:
    """The stage's output folder; ``build`` fills a temporary folder, which replaces the old one when it is complete.

    ``inputs`` is everything that the output depends on. An existing folder with the same inputs on record is reused. A
    ``resumable`` stage that was interrupted gets its temporary folder back if its inputs are still the same.
    """
    folder = work / name
    record = json.dumps(dict(inputs), indent=2, sort_keys=True) + "\n"
    if _record(folder) == record:
        logger.info("%s: unchanged", name)
        return folder
    started = time.monotonic()
    aside = work / f"{name}.part"
    if not (resumable and _record(aside) == record):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        (aside / RECORD).write_text(record)
    build(aside)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    logger.info("%s: done in %.0f s", name, time.monotonic() - started)
    return folder


def _record(folder: Path) -> str | None:
    path = folder / RECORD
    return path.read_text() if path.exists() else None


def stage_digest(folder: Path) -> str:
    """Digest of a finished stage, for the inputs of the next one."""
    return hashlib.sha256((folder / RECORD).read_bytes()).hexdigest()[:16]
