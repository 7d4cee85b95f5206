"""Token indexes by the names of PyLate's, so that code written for PyLate runs with its import changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latelite.indexes.hnsw import HNSW
from latelite.indexes.ivf.ivf import IVF

_WITHOUT_MEANING = {
    "batch_size", "centroid_score_threshold", "device", "index_bsize", "kmeans_niters", "max_points_per_centroid",
    "n_full_scores", "n_samples_kmeans", "nbits", "ncells", "ndocs", "nranks", "num_threads", "rank", "seed",
    "show_progress", "use_fast", "use_triton",
}  # fmt: skip


class PLAID(IVF):
    """`IVF` by the name of PyLate's index of its kind: centroids propose documents, MaxSim ranks them.

    Takes PyLate's parameters. ``n_ivf_probe`` is ``n_probe``; those of its compression, devices and kernels have no
    meaning here and are passed over: vectors are kept in 8 bits, and everything runs on the CPU. One object may be used
    from several threads.
    """

    def __init__(
        self,
        index_folder: str | Path = "latelite-index",
        index_name: str = "index",
        override: bool = False,
        embedding_size: int | None = None,
        *,
        n_ivf_probe: int | None = None,
        **settings: Any,
    ) -> None:
        """As `IVF`; raises TypeError for parameters that neither it nor PyLate's class has."""
        if n_ivf_probe is not None:
            settings.setdefault("n_probe", n_ivf_probe)
        super().__init__(index_folder, index_name, override, embedding_size=embedding_size, **_known(settings))


class Voyager(HNSW):
    """`HNSW` by the name of PyLate's index of its kind: a graph of tokens proposes documents, MaxSim ranks them.

    Takes PyLate's parameters ``M``, ``ef_construction`` and ``ef_search``; without them `HNSW`'s own defaults apply.
    One object may be used from several threads.
    """

    def __init__(
        self,
        index_folder: str | Path = "latelite-index",
        index_name: str = "index",
        override: bool = False,
        embedding_size: int | None = None,
        M: int | None = None,
        ef_construction: int | None = None,
        ef_search: int | None = None,
        **settings: Any,
    ) -> None:
        """As `HNSW`; raises TypeError for parameters that neither it nor PyLate's class has."""
        super().__init__(
            index_folder,
            index_name,
            override,
            embedding_size=embedding_size,
            M=M,
            ef_construction=ef_construction,
            ef_search=ef_search,
            **_known(settings),
        )


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _WITHOUT_MEANING}
