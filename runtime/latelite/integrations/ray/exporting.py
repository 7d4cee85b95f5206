"""Shards as Parquet files or LanceDB folders, one per shard, written in parallel."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from latelite.collection import Collection
from latelite.errors import IndexMismatchError
from latelite.files import atomic_write
from latelite.integrations import missing
from latelite.integrations.rows import Dtype
from latelite.integrations.sharding import ShardsManifest, content_hash

try:
    import ray
except ImportError as error:
    raise missing("ray", "ray", error) from error

Target = Literal["parquet", "lance"]
MANIFEST = "export.json"


@dataclass(frozen=True)
class Exported:
    """One shard's file or folder, as ``export.json`` lists them."""

    name: str
    documents: int
    content: str
    """SHA-256 over ids and content hashes of the documents."""


def export_shards(
    folder: str | Path, out: str | Path, to: Target, *, dtype: Dtype = "float32", workers: int
) -> list[Exported]:
    """Write each shard of a folder that `write_shards` made; run again, it writes those that changed or are missing.

    ``latelite import OUT notes.lt`` reads the Parquet files into one collection.

    Args:
        out: folder, on a disk that all nodes reach; is created, with a list of what is in it in ``export.json``.
        to: ``"parquet"`` writes ``shard-00000.parquet`` and so on, ``"lance"`` LanceDB folders.
        dtype: of the token vectors, see `latelite.integrations.parquet`.
        workers: shards that are written at once.

    Raises:
        IndexNotFoundError: the folder holds no shards.
        IndexMismatchError: ``out`` holds an export of another kind, dtype or model.
    """
    root, target = Path(folder).absolute(), Path(out).absolute()
    shards = ShardsManifest.read(root)
    target.mkdir(parents=True, exist_ok=True)
    described = {"to": to, "dtype": dtype, "fingerprint": shards.fingerprint}
    earlier = _earlier(target, described)
    waiting = [
        (each, target / (each.stem + (".parquet" if to == "parquet" else ".lancedb"))) for each in shards.folders(root)
    ]
    exported: dict[str, Exported] = {}
    running: list[Any] = []
    while waiting or running:
        while waiting and len(running) < workers:
            source, goal = waiting.pop(0)
            known = earlier.get(goal.name)
            running.append(_export.remote(os.fspath(source), os.fspath(goal), to, dtype, known))
        (done,), running = ray.wait(running, num_returns=1)
        one = ray.get(done)
        exported[one.name] = one
        _write(target, described, {**earlier, **exported})
    return [exported[name] for name in sorted(exported)]


@ray.remote(num_cpus=1, max_retries=-1)
def _export(source: str, goal: str, to: Target, dtype: Dtype, known: Exported | None) -> Exported:
    with Collection(source, read_only=True) as collection:
        digest = hashlib.sha256()
        documents = 0
        for document in collection:
            digest.update(json.dumps(document.id).encode() + content_hash(document.text, document.metadata))
            documents += 1
        made = Exported(Path(goal).name, documents, digest.hexdigest())
        if known == made and Path(goal).exists():
            return made
        if to == "parquet":
            from latelite.integrations import parquet

            parquet.write(collection, goal, dtype=dtype, override=True)
        else:
            from latelite.integrations import lance

            lance.write(collection, goal, dtype=dtype, override=True)
    return made


def _earlier(target: Path, described: dict[str, str]) -> dict[str, Exported]:
    path = target / MANIFEST
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, value in described.items():
        if content[name] != value:
            raise IndexMismatchError(f"{target} holds an export with {name}={content[name]!r}, not {value!r}.")
    return {each["name"]: Exported(**each) for each in content["shards"]}


def _write(target: Path, described: dict[str, str], exported: dict[str, Exported]) -> None:
    content = {**described, "shards": [asdict(exported[name]) for name in sorted(exported)]}
    with atomic_write(target / MANIFEST) as file:
        file.write(json.dumps(content, indent=2).encode() + b"\n")
