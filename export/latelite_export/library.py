"""Encodes the gate's texts with the checkpoint's own library, in another interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from latelite.manifest import Manifest
from latelite_export.checkpoint import first_line
from latelite_export.comparison import Encoded, Vectors
from latelite_export.errors import GateError
from latelite_export.texts import Collection

_WORKER = Path(__file__).with_name("library_worker.py")


@dataclass(frozen=True)
class ByLibrary:
    """The gate's texts encoded by another library."""

    versions: str
    encoded: tuple[Encoded, ...]


def encode(
    python: str, checkpoint: Path, manifest: Manifest, collections: Sequence[Collection], *, trust_remote_code: bool
) -> ByLibrary:
    """Run `library_worker` with the interpreter ``python``, which need not have latelite.

    Raises:
        GateError: the worker failed; the message has the last line of its output.
    """
    texts = [(text, is_query) for c in collections for is_query, text in _texts(c)]
    job = {
        "checkpoint": str(checkpoint.resolve()),
        "layout": manifest.checkpoint["layout"],
        "settings": asdict(manifest.settings),
        "texts": texts,
        "trust_remote_code": trust_remote_code,
    }
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "job.json", Path(folder) / "vectors.npz"
        asked.write_text(json.dumps(job), encoding="utf-8")
        # The checkpoint is local, so no network is needed.
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        try:
            run = subprocess.run(
                [python, str(_WORKER), str(asked), str(answered)],
                capture_output=True,
                text=True,
                check=False,
                env=environment,
            )
        except OSError as error:
            raise GateError(f"{python} cannot be run: {first_line(error)}.") from error
        if run.returncode != 0 or not answered.is_file():
            last = (run.stderr.strip() or "no message").splitlines()[-1]
            raise GateError(f"{python} could not encode with the checkpoint's own library: {last[:300]}")
        with np.load(answered, allow_pickle=False) as file:
            flat, tokens, versions = file["vectors"], file["tokens"], str(file["versions"])
    vectors = [_truncate(v, manifest.dim) for v in np.split(flat, np.cumsum(tokens)[:-1])]
    encoded, at = [], 0
    for collection in collections:
        middle = at + len(collection.queries)
        end = middle + len(collection.documents)
        encoded.append(Encoded(collection.language, vectors[at:middle], vectors[middle:end]))
        at = end
    return ByLibrary(versions, tuple(encoded))


def _texts(collection: Collection) -> list[tuple[bool, str]]:
    return [(True, text) for text in collection.queries] + [(False, text) for text in collection.documents]


def _truncate(vectors: Vectors, dim: int) -> Vectors:
    """The first ``dim`` dimensions, renormalised as in the bundle."""
    if vectors.shape[1] == dim:
        return vectors
    part = vectors[:, :dim]
    normalised: Vectors = part / np.linalg.norm(part, axis=1, keepdims=True)
    return normalised
