"""Inverted lists of token centroids: candidates from a few megabytes, exact MaxSim on the mapped store ranks them.

Every token is represented by its nearest centroid; a document is the set of its tokens' centroids. A query is
answered in four steps, each over fewer documents with a better score (the first two in `latelite.indexes.interaction`):

1. Probing: the centroids nearest to each query token lead to documents.
2. Centroid interaction: MaxSim over all centroids of a document, whether probed or not, for the best of step 1.
   Probing alone misjudges documents of anisotropic encoders.
3. MaxSim with a query of 7 bits for the best of step 2.
4. MaxSim for the best of step 3: the scores that are returned are exact.

A codebook is a shared file. New documents are assigned to the codebook that the index has; it is fitted again when a
merge makes a segment that has outgrown it, or when new tokens lie much farther from their centroids than old ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.errors import IndexCorruptError
from latelite.indexes.codebook import Codebook, Means, assign, centroid_count, chosen, distances, fit, sample_size
from latelite.indexes.exact import everything_allowed
from latelite.indexes.generation import SegmentEntry
from latelite.indexes.index import Floats, Ints, TokenIndex
from latelite.indexes.interaction import TOGETHER, Closeness, Lists, lists_of
from latelite.indexes.output import check_content, open_array, release, write_whole
from latelite.indexes.segment import BLOCK_TOKENS, Segment
from latelite.indexes.snapshot import Mask, OpenSegment, Snapshot
from latelite.indexes.store import SHARED
from latelite.manifest import FileEntry
from latelite.maxsim import maxsim

SCANNED = 65_536
"""Tokens below which scanning a segment is no slower than its lists would be (``benchmarks/index.py``)."""
_DRIFT = 1.25
"""A codebook is fitted again when new tokens lie this much farther (mean squared) from it than old ones."""
_DRIFT_SAMPLE = 2048
"""Tokens on either side of that comparison."""
_INTERACTING = 3
"""Documents of step 2 per document of step 3."""
_PER_RESULT = 8
"""Documents of step 3 per result, at least."""
_RANKED = 24
"""Documents of step 4, at least, ..."""
_RANKED_PER_RESULT = 1.5
"""... and per result: rounding a query to 7 bits hardly ever moves a document farther."""


class IVF(TokenIndex):
    """Token centroids as a coarse index; memory stays with the operating system's page cache."""

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
        n_probe: int = 16,
        n_candidates: int = 256,
        scan_threshold: int = SCANNED,
    ) -> None:
        """As `TokenIndex`.

        Args:
            n_centroids: size of codebooks fitted from now on; None takes about 8 sqrt(tokens).
            n_probe: centroids that each query token looks into, at least.
            n_candidates: documents of step 3 (eight times ``k`` where that is more).
            scan_threshold: segments of fewer tokens are scanned, which is faster than lists and exact.
        """
        for name, value in (("n_probe", n_probe), ("n_candidates", n_candidates), ("n_centroids", n_centroids)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}.")
        self._n_centroids = n_centroids
        self._n_probe = n_probe
        self._n_candidates = n_candidates
        self._scan_threshold = max(scan_threshold, 1)
        super().__init__(
            index_folder, index_name, override, embedding_size=embedding_size, fingerprint=fingerprint, store="int8"
        )

    def _parameters(self) -> Mapping[str, Any]:
        return {
            "n_centroids": self._n_centroids,
            "n_probe": self._n_probe,
            "n_candidates": self._n_candidates,
            "scan_threshold": self._scan_threshold,
        }

    # -------------------------------------------------------------------------------------------------------- building

    def _extend(
        self, segment: Segment, parents: Sequence[OpenSegment], base: Snapshot, number: int
    ) -> tuple[Mapping[str, FileEntry], Mapping[str, FileEntry]]:
        tokens = segment.entry.tokens
        if tokens < self._scan_threshold:
            return {}, {}
        shared: dict[str, FileEntry] = {}
        name = self._fitting_codebook(segment, base)
        if name is not None:
            centroids: Floats = base.shared[name].centroids
            members = _members(segment, centroids)
        else:
            name = f"{SHARED}/codebook-{number:08d}.npy"
            wanted = self._n_centroids or centroid_count(tokens)
            centroids = fit(segment.sample(chosen(tokens, sample_size(wanted))), wanted, segment.decode)
            means = Means(centroids)
            members = _members(segment, centroids, means)
            path = self._store.folder / name
            path.parent.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)  # of a writer that was killed before publishing
            # The means of all tokens stand better for them than those of k-means' sample.
            shared[name] = write_whole(path, means.result())
        arrays = lists_of(*members, len(segment), len(centroids))
        stem = Path(name).stem
        files = {f"{stem}.{part}.npy": write_whole(segment.folder / f"{stem}.{part}.npy", a) for part, a in arrays}
        return files, shared

    def _fitting_codebook(self, segment: Segment, base: Snapshot) -> str | None:
        """The codebook of the largest segment that has one, unless it is too small for the new segment or far off."""
        listed = [old for old in base.segments if isinstance(old.companion, Lists)]
        if not listed:
            return None
        largest = max(listed, key=lambda old: old.entry.tokens)
        name: str = largest.companion.codebook
        centroids: Floats = base.shared[name].centroids
        wanted = self._n_centroids or centroid_count(segment.entry.tokens)
        if wanted >= 2 * len(centroids):
            return None
        old, new = (_spread(files, centroids) for files in (largest.files, segment))
        return name if new <= _DRIFT * old else None

    def _companion(self, segment: Segment, shared: Mapping[str, Any]) -> Any:
        name = _codebook_of(segment.entry)
        if name is None:
            return None
        stem = Path(name).stem
        documents, entry = segment.entry.documents, segment.entry.files

        def part(name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
            return open_array(segment.folder / f"{stem}.{name}.npy", shape=shape, dtype=dtype)

        if name not in shared:
            raise IndexCorruptError(f"{segment.folder} refers to {name}, which the generation does not name.")
        centroids = len(shared[name])
        for offsets in ("members_offsets", "postings_offsets"):
            check_content(segment.folder / f"{stem}.{offsets}.npy", entry[f"{stem}.{offsets}.npy"])
        members_offsets = part("members_offsets", (documents + 1,), np.int64)
        postings_offsets = part("postings_offsets", (centroids + 1,), np.int64)
        return Lists(
            codebook=name,
            members=part("members", (int(members_offsets[-1]), TOGETHER), np.min_scalar_type(centroids - 1)),
            members_offsets=members_offsets,
            postings=part("postings", (int(postings_offsets[-1]),), np.min_scalar_type(documents - 1)),
            postings_offsets=postings_offsets,
        )

    def _share(self, path: Path, entry: FileEntry, dim: int) -> Any:
        check_content(path, entry)
        return Codebook.of(open_array(path, shape=(-1, dim), dtype=np.float32))

    def _shared_in_use(self, segments: Sequence[SegmentEntry], files: Mapping[str, FileEntry]) -> set[str]:
        return {name for name in map(_codebook_of, segments) if name is not None}

    # ------------------------------------------------------------------------------------------------------- searching

    def _candidates(self, view: Snapshot, query: Floats, k: int, allowed: Sequence[Mask | None]) -> list[Ints | None]:
        wanted = max(self._n_candidates, _PER_RESULT * k)
        found: list[Ints | None] = []
        reached: list[tuple[int, Ints, Floats]] = []  # segment, its documents, their scores
        closeness: dict[str, Closeness] = {}
        for position, (segment, mask) in enumerate(zip(view.segments, allowed, strict=True)):
            lists = segment.companion
            if lists is None:
                found.append(everything_allowed(mask))
                continue
            documents = len(segment.files) if mask is None else int(mask.sum())
            if documents <= wanted:
                found.append(np.arange(len(segment.files)) if mask is None else np.flatnonzero(mask))
                continue
            found.append(np.empty(0, np.int64))
            if lists.codebook not in closeness:
                closeness[lists.codebook] = Closeness(view.shared[lists.codebook], query, self._n_probe)
            numbers, scores = closeness[lists.codebook].probe(lists, len(segment.files), mask)
            if len(numbers) < wanted:  # a narrow filter, or a query that is far from everything
                numbers = np.arange(len(segment.files)) if mask is None else np.flatnonzero(mask)
                scores = np.full(len(numbers), np.inf, np.float32)
            reached.append((position, numbers, scores))

        def interaction(segment: OpenSegment, numbers: Ints) -> Floats:
            return closeness[segment.companion.codebook].interact(segment.companion, numbers)

        def roughly(segment: OpenSegment, numbers: Ints) -> Floats:
            files = segment.files
            return maxsim(
                query, files.tokens, files.offsets, documents=numbers, quantisation=files.quantisation, rough=True
            )

        for kept, score in ((_INTERACTING * wanted, interaction), (wanted, roughly)):
            reached = [
                (position, numbers, score(view.segments[position], numbers))
                for position, numbers, _ in _best(reached, kept)
            ]
        for position, numbers, _ in _best(reached, max(_RANKED, math.ceil(_RANKED_PER_RESULT * k))):
            found[position] = numbers
        return found


def _codebook_of(entry: SegmentEntry) -> str | None:
    """Path of the codebook that the segment's lists belong to; their file names tell."""
    for name in entry.files:
        stem, _, part = name.partition(".")
        if part == "members.npy":
            return f"{SHARED}/{stem}.npy"
    return None


def _members(segment: Segment, centroids: Floats, means: Means | None = None) -> tuple[Ints, Ints]:
    """Every pair of a document and a centroid of its tokens, once, ascending: documents and centroids (entries,).

    All tokens with their centroids are added to ``means``.
    """
    pairs: list[Ints] = []
    first = 0
    while first < len(segment):
        # Whole documents, about a block of tokens at a time.
        start = int(segment.offsets[first])
        last = max(int(np.searchsorted(segment.offsets, start + BLOCK_TOKENS, side="right")) - 1, first + 1)
        stop = int(segment.offsets[last])
        nearest = []
        for position in range(start, stop, BLOCK_TOKENS):
            block = segment.decoded(position, min(position + BLOCK_TOKENS, stop))
            nearest.append(assign(block, centroids))
            if means is not None:
                means.add(block, nearest[-1])
        owners = np.repeat(np.arange(first, last), np.diff(segment.offsets[first : last + 1]))
        pairs.append(np.unique((owners << 32) | np.concatenate(nearest)))
        release(segment.tokens)
        first = last
    found = np.concatenate(pairs)
    return found >> 32, found & 0xFFFFFFFF


def _spread(segment: Segment, centroids: Floats) -> float:
    """Mean squared distance of a sample of the segment's tokens to their centroids."""
    sample = segment.decode(segment.sample(chosen(segment.entry.tokens, _DRIFT_SAMPLE)))
    return float(distances(sample, centroids, assign(sample, centroids)).mean())


def _best(reached: Sequence[tuple[int, Ints, Floats]], wanted: int) -> list[tuple[int, Ints, Floats]]:
    """The ``wanted`` best over all segments, still ascending in each; equal scores at the border all stay."""
    if sum(len(numbers) for _, numbers, _ in reached) <= wanted:
        return list(reached)
    scores = np.concatenate([scores for _, _, scores in reached])
    border = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
    return [(position, numbers[scores >= border], scores[scores >= border]) for position, numbers, scores in reached]
