"""Bulk encoding of a Ray Data set: one encoder per worker, one thread per text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.integrations import for_workers, missing
from latelite.manifest import Precision
from latelite.models import ColBERT

try:
    import ray.data
except ImportError as error:
    raise missing("ray", "ray", error) from error


class Encode:
    """A Ray Data actor: loads the model once and adds the token vectors to each batch."""

    def __init__(
        self, bundle: str, precision: Precision | None = None, column: str = "text", pool_factor: int = 1
    ) -> None:
        self._model = ColBERT(bundle, precision=precision, threads=1)
        self._column = column
        self._pool_factor = pool_factor

    def __call__(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The batch with a column ``vectors``: per row (tokens, dim) float32."""
        encoded = self._model.encode_document(
            [str(text) for text in batch[self._column]], show_progress_bar=False, pool_factor=self._pool_factor
        )
        vectors = np.empty(len(encoded), object)  # ragged: an array per row, not one array of all
        vectors[:] = encoded
        return {**batch, "vectors": vectors}


def encode(
    dataset: ray.data.Dataset,
    bundle: str | Path,
    *,
    workers: int,
    precision: Precision | None = None,
    column: str = "text",
    batch_size: int = 64,
    pool_factor: int = 1,
) -> ray.data.Dataset:
    """Add the column ``vectors`` to a data set, lazily, with ``workers`` actors of one CPU each.

    Reading and writing data takes a CPU as well: a cluster has one more than workers, or fewer of these run.

    Args:
        bundle: folder of the bundle, at the same path on every node, or name of a model that is installed on each.
        precision: give it where nodes differ: None takes what suits each node's CPU, and int8 and fp32 vectors differ
            slightly.
        column: holds the texts.
        batch_size: rows per call; it bounds what is lost, and encoded again, when a worker dies.
    """
    return dataset.map_batches(
        Encode,
        fn_constructor_kwargs={
            "bundle": for_workers(bundle),
            "precision": precision,
            "column": column,
            "pool_factor": pool_factor,
        },
        batch_size=batch_size,
        num_cpus=1,
        compute=pool(workers),
    )


def pool(workers: int) -> ray.data.ActorPoolStrategy:
    """``workers`` actors, but one CPU of the cluster fewer at first where there are not as many.

    A pool of a fixed size takes every CPU of a small cluster for itself. The tasks that read the data, and those that
    write what becomes of it, then never begin, and the actors wait for them for ever.
    """
    room = int(ray.cluster_resources().get("CPU", 1)) - 1
    return ray.data.ActorPoolStrategy(min_size=max(1, min(workers, room)), max_size=workers)
