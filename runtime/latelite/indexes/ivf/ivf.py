"""Inverted lists of token centroids: candidates from a few megabytes, exact MaxSim on the mapped store ranks them.

Every token is represented by its nearest centroid; a document is the set of its tokens' centroids. A query is
answered in four steps, each over fewer documents with a better score (`latelite.indexes.ivf.search`, the first two in
`latelite.indexes.ivf.interaction`):

1. Probing: the centroids nearest to each query token lead to documents.
2. Centroid interaction: MaxSim over all centroids of a document, whether probed or not, for the best of step 1.
   Probing alone misjudges documents of anisotropic encoders.
3. MaxSim over the tokens whose centroids are the best of their document, or nearly, for some query token: less
   than a fifth of a document's tokens, with a query of 7 bits, for the best of step 2.
4. MaxSim over all tokens for the best of step 3: the scores that are returned are exact.

Each segment holds its codebook. New documents are assigned to the codebook that the index has; it is fitted again when
a merge makes a segment that has outgrown it, or when new tokens lie much farther from their centroids than old ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latelite.arrays import Floats, Ints, Mask
from latelite.errors import IndexCorruptError
from latelite.indexes.index import TokenIndex
from latelite.indexes.ivf import search
from latelite.indexes.ivf.codebook import (
    Codebook,
    Means,
    assign,
    centroid_count,
    distances,
    even_sample,
    fit,
    sample_size,
)
from latelite.indexes.ivf.lists import TOGETHER, Lists, arrays_of, members_of
from latelite.storage.kind import IndexKind
from latelite.storage.segments import Segment, SegmentWriter
from latelite.storage.snapshot import OpenSegment, Snapshot

SCANNED = 32_768
"""Tokens below which scanning a segment is no slower than its lists would be: ``benchmarks/index.py`` finds the
crossing at 35,000 tokens for passages of 32 tokens. Documents of 263 tokens are all scored either way below 67,000,
where there are ``n_candidates`` of them."""
_DRIFT = 1.25
"""A codebook is fitted again when new tokens lie this much farther (mean squared) from it than old ones."""
_DRIFT_SAMPLE = 2048
"""Tokens on either side of that comparison."""
_CHECKED = ("centroids", "steps", "members_offsets", "postings_offsets", "tokens_offsets")
"""Arrays whose content decides where others are read: their checksums are compared whenever a segment is opened."""


class IVFKind(IndexKind):
    """Inverted lists beside each segment that is large enough for them."""

    name = "ivf"
    defaults: ClassVar[Mapping[str, Any]] = {
        "n_centroids": None,
        "n_probe": 20,
        "n_candidates": 256,
        "scan_threshold": SCANNED,
    }
    least: ClassVar[Mapping[str, int]] = {"scan_threshold": 0}

    def build(self, writer: SegmentWriter, parents: Sequence[OpenSegment], base: Snapshot) -> None:
        """Assign the segment's tokens to a codebook, fitted where there is none that suits."""
        segment = writer.so_far()
        tokens = segment.entry.tokens
        if tokens < self.settings["scan_threshold"]:
            return
        codebook = self._suitable(segment, base)
        if codebook is not None:
            members = members_of(segment, codebook.centroids())
        else:
            wanted = self.settings["n_centroids"] or centroid_count(tokens)
            centroids = fit(segment.sample(even_sample(tokens, sample_size(wanted))), wanted, segment.decode)
            means = Means(centroids)
            members = members_of(segment, centroids, means)
            # The means of all tokens stand better for them than those of k-means' sample.
            codebook = Codebook.of(means.result())
        writer.add_arrays("ivf", [("centroids", codebook.rows), ("steps", codebook.steps)])
        writer.add_arrays("ivf", arrays_of(members, len(segment), len(codebook)))

    def _suitable(self, segment: Segment, base: Snapshot) -> Codebook | None:
        """The codebook of the largest segment that has one, unless that is too small or far off."""
        listed = [old for old in base.segments if isinstance(old.sidecar, Lists)]
        if not listed:
            return None
        largest = max(listed, key=lambda old: old.entry.tokens)
        codebook: Codebook = largest.sidecar.codebook
        wanted = self.settings["n_centroids"] or centroid_count(segment.entry.tokens)
        if wanted >= 2 * len(codebook):
            return None
        centroids = codebook.centroids()
        old, new = (_spread(files, centroids) for files in (largest.files, segment))
        return codebook if new <= _DRIFT * old else None

    def load(self, segment: Segment) -> Lists | None:
        """The lists of a segment; raises IndexCorruptError."""
        arrays = segment.arrays
        if "ivf.members" not in arrays.layout:
            return None
        arrays.check(*(f"ivf.{name}" for name in _CHECKED))
        documents, tokens = len(segment), segment.entry.tokens

        def part(name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
            return arrays.array(f"ivf.{name}", shape, dtype)

        codebook = Codebook(part("centroids", (-1, segment.dim), np.uint8), part("steps", (segment.dim,), np.float32))
        members_offsets = part("members_offsets", (documents + 1,), np.int64)
        postings_offsets = part("postings_offsets", (len(codebook) + 1,), np.int64)
        rows = int(members_offsets[-1])
        longest = int(np.diff(segment.offsets).max())
        lists = Lists(
            name=arrays.layout["ivf.centroids"].checksum,
            codebook=codebook,
            members=part("members", (rows, TOGETHER), np.min_scalar_type(len(codebook) - 1)),
            members_offsets=members_offsets,
            tokens=part("tokens", (tokens,), np.min_scalar_type(longest - 1)),
            tokens_offsets=part("tokens_offsets", (rows * TOGETHER + 1,), np.min_scalar_type(tokens)),
            postings=part("postings", (int(postings_offsets[-1]),), np.min_scalar_type(documents - 1)),
            postings_offsets=postings_offsets,
        )
        if (np.diff(members_offsets) < 0).any() or (np.diff(postings_offsets) < 0).any():
            raise IndexCorruptError(f"{arrays.path}: the offsets of its lists are not ascending.")
        return lists

    def candidates(self, view: Snapshot, query: Floats, k: int, allowed: Sequence[Mask | None]) -> list[Ints | None]:
        """See `latelite.indexes.ivf.search`."""
        n_probe, n_candidates = self.settings["n_probe"], self.settings["n_candidates"]
        return search.candidates(view, query, k, allowed, n_probe=n_probe, n_candidates=n_candidates)


class IVF(TokenIndex):
    """Token centroids as a coarse index; memory stays with the operating system's page cache.

    One object may be used from several threads, as any `TokenIndex`.
    """

    kind = "ivf"

    def __init__(
        self,
        index_folder: str | Path = "latelite-index",
        index_name: str = "index",
        override: bool = False,
        *,
        embedding_size: int | None = None,
        fingerprint: str | None = None,
        n_centroids: int | None = None,
        n_probe: int | None = None,
        n_candidates: int | None = None,
        scan_threshold: int | None = None,
        timeout: float = 30.0,
    ) -> None:
        """As `TokenIndex`. None takes what the index was last written with, in a new one the default.

        Args:
            n_centroids: size of codebooks fitted from now on; by default about 8 sqrt(tokens).
            n_probe: centroids that each query token looks into, at least (one of 400 where that is more); by default
                20.
            n_candidates: documents of step 3, at least (twelve times ``k``, or 1.28 times the documents to the power of
                2/3, where that is more); by default 256.
            scan_threshold: segments of fewer tokens are scanned, which is faster than lists and exact; by default
                32,768.
        """
        super().__init__(
            IVFKind(
                n_centroids=n_centroids,
                n_probe=n_probe,
                n_candidates=n_candidates,
                scan_threshold=scan_threshold,
            ),
            index_folder,
            index_name,
            override,
            embedding_size=embedding_size,
            fingerprint=fingerprint,
            timeout=timeout,
        )


def _spread(segment: Segment, centroids: Floats) -> float:
    """Mean squared distance of a sample of the segment's tokens to their centroids."""
    sample = segment.decode(segment.sample(even_sample(segment.entry.tokens, _DRIFT_SAMPLE)))
    return float(distances(sample, centroids, assign(sample, centroids)).mean())
