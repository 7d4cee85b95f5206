"""A Ray Data set as collections in shards, each document once, however often the run is repeated.

A document belongs to the shard that the hash of its id names. One actor owns a shard and is alone in writing to it.
Encoders ask it which documents of a batch it lacks, or has with another text or other metadata, encode those alone, and
hand them over; the owner looks once more, and writes them in one transaction. So whatever is killed, encoder, owner or
the whole run, costs the batches that were on their way, and a repeated run encodes what is missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import compress
from pathlib import Path
from typing import Any

from latelite import default_model, indexes
from latelite.bundle import Bundle
from latelite.collection import Collection
from latelite.integrations import missing
from latelite.integrations.ray.encoding import pool
from latelite.integrations.sharding import MANIFEST, ShardsManifest, content_hash, shard_of
from latelite.manifest import Precision
from latelite.models import ColBERT
from latelite.texts import EncodedTexts, Text, encode

try:
    import ray
    import ray.data
except ImportError as error:
    raise missing("ray", "ray", error) from error

_TIMEOUT = 300.0
"""Seconds that an owner which was started again waits for its killed predecessor's lock."""


@dataclass(frozen=True)
class Written:
    """What a run did. A document that was handed over twice, since a worker died in between, counts once or twice."""

    new: int
    replaced: int
    """There with another text or other metadata. In a first run: ids that occur more than once in the data set."""
    skipped: int
    """There already."""
    documents: int
    """In all shards, afterwards."""


def write_shards(
    dataset: ray.data.Dataset,
    folder: str | Path,
    bundle: str | Path | None = None,
    *,
    shards: int,
    workers: int,
    id: str = "id",
    text: str = "text",
    metadata: Sequence[str] = (),
    precision: Precision | None = None,
    index: str = "IVF",
    pool_factor: int = 1,
    batch_size: int = 256,
) -> Written:
    """Write a data set into collections, in parallel; run again, it encodes what is new, changed or missing.

    Documents that are no longer in the data set stay. The same id twice in one run leaves the one that came last.

    Args:
        folder: at the same path on every node, on a disk that all of them reach; is created.
        bundle: folder at the same path on every node, or name of a model that is installed on each.
        shards: how many collections; fixed by the first run. An owner keeps up with about three encoders of short
            texts, so have a shard for every three workers at least.
        workers: encoders of one CPU each, see `encode`; owners reserve none.
        id, text: columns of the ids (strings or integers) and the texts.
        metadata: columns that become metadata; values must be JSON's.
        precision: give it where nodes differ, see `encode`.
        index: kind of the collections' indexes; fixed by the first run.
        pool_factor: token pooling of the documents; fixed by the first run.
        batch_size: documents that an encoder takes at once: what the death of a worker costs.

    Raises:
        ValueError: shards or workers are below 1, or there is no such kind of index.
        IndexMismatchError: the folder was begun with another model, number of shards, index or pooling.
        IndexCorruptError: the folder's description is damaged.
        Ray's error of a failed task, for a row that is no document: its text is none, its metadata not JSON.
    """
    if shards < 1 or workers < 1 or batch_size < 1:
        raise ValueError("shards, workers and batch_size must be at least 1.")
    indexes.make_kind(index, {})
    root, model = Path(folder).absolute(), default_model.resolve(bundle, precision=precision)
    described = Bundle(model).manifest
    manifest = ShardsManifest(shards, described.checkpoint["id"], described.fingerprint, index, pool_factor)
    root.mkdir(parents=True, exist_ok=True)
    if (root / MANIFEST).exists():
        begun = ShardsManifest.read(root)
        begun.check_same(root, manifest)
        manifest = begun
    else:
        manifest.write(root)
    options = _Options(os.fspath(model.absolute()), precision, pool_factor, index)
    # Owners wait most of the time, and must fit beside the encoders.
    owner: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Owner)
    owners = [owner.remote(os.fspath(each), options) for each in manifest.folders(root)]
    try:
        counted = dataset.map_batches(
            _EncodeForShards,
            fn_constructor_args=(options, owners, id, text, tuple(metadata)),
            batch_size=batch_size,
            batch_format="pyarrow",
            num_cpus=1,
            compute=pool(workers),
        )
        totals = {"new": 0, "replaced": 0, "skipped": 0}
        for row in counted.iter_rows():
            for name in totals:
                totals[name] += row[name]
        documents = ray.get([owner.finish.remote() for owner in owners])
    finally:
        for owner in owners:
            ray.kill(owner)
    replace(manifest, documents=documents).write(root)
    return Written(**totals, documents=sum(documents))


@dataclass(frozen=True)
class _Options:
    bundle: str
    precision: Precision | None
    pool_factor: int
    index: str


class _Owner:
    """Alone in writing to one shard. Every call may be repeated: it is, when the process died before it answered."""

    def __init__(self, folder: str, options: _Options) -> None:
        self._collection = Collection(
            folder,
            ColBERT(options.bundle, precision=options.precision, threads=1),
            index=options.index,
            pool_factor=options.pool_factor,
            timeout=_TIMEOUT,
        )

    def states(self, ids: list[int | str], hashes: list[bytes]) -> list[str]:
        """Per document what `Written` would count it as."""
        stored = self._collection.get(ids, None)
        return [
            "new"
            if document is None
            else "skipped"
            if content_hash(document.text, document.metadata) == hash
            else "replaced"
            for document, hash in zip(stored, hashes, strict=True)
        ]

    def put(self, documents: EncodedTexts, hashes: list[bytes]) -> list[str]:
        """Write encoded documents, but for those that are there by now; returns their states before."""
        states = self.states(documents.ids, hashes)
        self._collection.add_encoded(_only(documents, [state != "skipped" for state in states]))
        return states

    def finish(self) -> int:
        """How many documents the shard has."""
        return len(self._collection)


class _EncodeForShards:
    """A Ray Data actor: loads the model once, and hands the documents of each batch to their owners."""

    def __init__(self, options: _Options, owners: list[Any], id: str, text: str, metadata: tuple[str, ...]) -> None:
        self._model = ColBERT(options.bundle, precision=options.precision, threads=1)
        self._pool_factor = options.pool_factor
        self._owners = owners
        self._columns = id, text, metadata

    def __call__(self, batch: Any) -> dict[str, list[int]]:
        """Counts of the batch, an Arrow table."""
        counts = {"new": 0, "replaced": 0, "skipped": 0}
        by_shard: dict[int, dict[int | str, Text]] = {}
        for row in batch.to_pylist():
            document = self._text(row)
            by_shard.setdefault(shard_of(document.id, len(self._owners)), {})[document.id] = document
        given = {shard: list(documents.values()) for shard, documents in by_shard.items()}
        counts["replaced"] += batch.num_rows - sum(map(len, given.values()))  # twice in this batch: the last one stays
        asked = {
            shard: self._owners[shard].states.remote([each.id for each in documents], _hashes(documents))
            for shard, documents in given.items()
        }
        lacking = {}
        for shard, answer in asked.items():
            states = ray.get(answer)
            counts["skipped"] += states.count("skipped")
            wanted = [each for each, state in zip(given[shard], states, strict=True) if state != "skipped"]
            if wanted:
                lacking[shard] = wanted
        handed_over = []
        for shard, documents in lacking.items():
            encoded = EncodedTexts()
            encode(self._model, documents, encoded, pool_factor=self._pool_factor)
            handed_over.append(self._owners[shard].put.remote(encoded, _hashes(documents)))
        for states in ray.get(handed_over):
            for state in states:
                counts[state] += 1
        return {name: [count] for name, count in counts.items()}

    def _text(self, row: Mapping[str, Any]) -> Text:
        id, text, metadata = self._columns
        for name in (id, text, *metadata):
            if name not in row:
                raise ValueError(f"the data set has no column {name!r}: {sorted(row)}.")
        return Text.of(row[id], row[text], {name: row[name] for name in metadata})


def _hashes(documents: Sequence[Text]) -> list[bytes]:
    return [content_hash(each.text, json.loads(each.metadata)) for each in documents]


def _only(documents: EncodedTexts, chosen: Sequence[bool]) -> EncodedTexts:
    """Some of the documents."""
    columns = {field.name: getattr(documents, field.name) for field in fields(documents)}
    return EncodedTexts(**{name: list(compress(values, chosen)) for name, values in columns.items()})
