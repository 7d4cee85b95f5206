"""Inverted lists of token centroids: candidates from a few megabytes, exact MaxSim on the mapped store ranks them.

Every token is represented by its nearest centroid; a document is the set of its tokens' centroids. A query is
answered in four steps, each over fewer documents with a better score (the first two in `latelite.indexes.interaction`):

1. Probing: the centroids nearest to each query token lead to documents.
2. Centroid interaction: MaxSim over all centroids of a document, whether probed or not, for the best of step 1.
   Probing alone misjudges documents of anisotropic encoders.
3. MaxSim over the tokens whose centroids are the best of their document, or nearly, for some query token: less
   than a fifth of a document's tokens, with a query of 7 bits, for the best of step 2.
4. MaxSim over all tokens for the best of step 3: the scores that are returned are exact.

A codebook is a shared file. New documents are assigned to the codebook that the index has; it is fitted again when a
merge makes a segment that has outgrown it, or when new tokens lie much farther from their centroids than old ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.errors import IndexCorruptError
from latelite.indexes.codebook import Codebook, Means, assign, centroid_count, chosen, distances, fit, sample_size
from latelite.indexes.exact import everything_allowed
from latelite.indexes.generation import SegmentEntry
from latelite.indexes.index import Floats, Ints, TokenIndex
from latelite.indexes.interaction import Bytes, Closeness
from latelite.indexes.lists import TOGETHER, Lists, arrays_of, members_of
from latelite.indexes.output import check_content, open_array, write_whole
from latelite.indexes.queries import merged
from latelite.indexes.ranking import nth_largest
from latelite.indexes.segment import Segment
from latelite.indexes.snapshot import Mask, OpenSegment, Snapshot
from latelite.indexes.store import SHARED
from latelite.manifest import FileEntry
from latelite.maxsim import maxsim_rows

SCANNED = 32_768
"""Tokens below which scanning a segment is no slower than its lists would be: ``benchmarks/index.py`` finds the
crossing at 35,000 tokens for passages of 32 tokens. Documents of 263 tokens are all scored either way below 67,000,
where there are ``n_candidates`` of them."""
_DRIFT = 1.25
"""A codebook is fitted again when new tokens lie this much farther (mean squared) from it than old ones."""
_DRIFT_SAMPLE = 2048
"""Tokens on either side of that comparison."""
_STEPS = ".steps.npy"

_INTERACTING = 1.5
"""Documents of step 2 per document of step 3."""
_PER_RESULT = 12
"""Documents of step 3 per result, at least."""
_RANKED = 28
"""Documents of step 4, at least, ..."""
_RANKED_PER_RESULT = 2
"""... and per result. Tokens left out in step 3 move a document, by few places: 32 hold .001 more of SciFact's best."""


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
        n_probe: int = 20,
        n_candidates: int = 256,
        scan_threshold: int = SCANNED,
    ) -> None:
        """As `TokenIndex`.

        Args:
            n_centroids: size of codebooks fitted from now on; None takes about 8 sqrt(tokens).
            n_probe: centroids that each query token looks into, at least.
            n_candidates: documents of step 3 (twelve times ``k`` where that is more). On SciFact's 1.37 million tokens
                256 hold .986 of the ten best, and 288 hold .987 in a twenty-fifth more time.
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
        known = self._fitting_codebook(segment, base)
        if known is not None:
            name, size = known.name, len(known.codebook)
            members = members_of(segment, known.codebook.centroids())
        else:
            name = f"{SHARED}/codebook-{number:08d}.npy"
            wanted = self._n_centroids or centroid_count(tokens)
            centroids = fit(segment.sample(chosen(tokens, sample_size(wanted))), wanted, segment.decode)
            size, means = len(centroids), Means(centroids)
            members = members_of(segment, centroids, means)
            # The means of all tokens stand better for them than those of k-means' sample.
            codebook = Codebook.of(means.result())
            for file, array in ((name, codebook.rows), (_steps_of(name), codebook.steps)):
                path = self._store.folder / file
                path.parent.mkdir(exist_ok=True)
                path.unlink(missing_ok=True)  # of a writer that was killed before publishing
                shared[file] = write_whole(path, array)
        arrays = arrays_of(members, len(segment), size)
        stem = Path(name).stem
        files = {f"{stem}.{part}.npy": write_whole(segment.folder / f"{stem}.{part}.npy", a) for part, a in arrays}
        return files, shared

    def _fitting_codebook(self, segment: Segment, base: Snapshot) -> Lists | None:
        """Lists with the codebook of the largest segment that has one, unless that is too small or far off."""
        listed = [old for old in base.segments if isinstance(old.companion, Lists)]
        if not listed:
            return None
        largest = max(listed, key=lambda old: old.entry.tokens)
        lists: Lists = largest.companion
        wanted = self._n_centroids or centroid_count(segment.entry.tokens)
        if wanted >= 2 * len(lists.codebook):
            return None
        centroids = lists.codebook.centroids()
        old, new = (_spread(files, centroids) for files in (largest.files, segment))
        return lists if new <= _DRIFT * old else None

    def _companion(self, segment: Segment, shared: Mapping[str, Any]) -> Any:
        name = _codebook_of(segment.entry)
        if name is None:
            return None
        stem = Path(name).stem
        documents, entry = segment.entry.documents, segment.entry.files

        def part(name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
            return open_array(segment.folder / f"{stem}.{name}.npy", shape=shape, dtype=dtype)

        if not {name, _steps_of(name)} <= shared.keys():
            raise IndexCorruptError(f"{segment.folder} refers to {name}, which the generation does not name.")
        codebook = Codebook(shared[name], shared[_steps_of(name)])
        for offsets in ("members_offsets", "postings_offsets", "tokens_offsets"):
            check_content(segment.folder / f"{stem}.{offsets}.npy", entry[f"{stem}.{offsets}.npy"])
        members_offsets = part("members_offsets", (documents + 1,), np.int64)
        postings_offsets = part("postings_offsets", (len(codebook) + 1,), np.int64)
        rows, tokens = int(members_offsets[-1]), segment.entry.tokens
        longest = int(np.diff(segment.offsets).max())
        return Lists(
            name=name,
            codebook=codebook,
            members=part("members", (rows, TOGETHER), np.min_scalar_type(len(codebook) - 1)),
            members_offsets=members_offsets,
            tokens=part("tokens", (tokens,), np.min_scalar_type(longest - 1)),
            tokens_offsets=part("tokens_offsets", (rows * TOGETHER + 1,), np.min_scalar_type(tokens)),
            postings=part("postings", (int(postings_offsets[-1]),), np.min_scalar_type(documents - 1)),
            postings_offsets=postings_offsets,
        )

    def _share(self, path: Path, entry: FileEntry, dim: int) -> Any:
        check_content(path, entry)
        if path.name.endswith(_STEPS):
            return open_array(path, shape=(dim,), dtype=np.float32)
        return open_array(path, shape=(-1, dim), dtype=np.uint8)

    def _shared_in_use(self, segments: Sequence[SegmentEntry], files: Mapping[str, FileEntry]) -> set[str]:
        names = {name for name in map(_codebook_of, segments) if name is not None}
        return names | {_steps_of(name) for name in names}

    # ------------------------------------------------------------------------------------------------------- searching

    def _candidates(self, view: Snapshot, query: Floats, k: int, allowed: Sequence[Mask | None]) -> list[Ints | None]:
        if all(segment.companion is None for segment in view.segments):
            return [everything_allowed(mask) for mask in allowed]
        query = merged(query)  # the steps here only propose: all of the query ranks what they leave
        wanted = max(self._n_candidates, _PER_RESULT * k)
        found: list[Ints | None] = []
        reached: list[_Reached] = []
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
            if lists.name not in closeness:
                closeness[lists.name] = Closeness(lists.codebook, query, self._n_probe)
            numbers, scores = closeness[lists.name].probe(lists, len(segment.files), mask)
            if len(numbers) < wanted:  # a narrow filter, or a query that is far from everything
                numbers = np.arange(len(segment.files)) if mask is None else np.flatnonzero(mask)
                scores = np.full(len(numbers), np.inf, np.float32)
            reached.append(_Reached(position, numbers, scores, np.empty((len(numbers), 0), np.uint8)))

        near = []
        for part in _best(reached, math.ceil(_INTERACTING * wanted)):
            lists = view.segments[part.position].companion
            scores, bytes_ = closeness[lists.name].interact(lists, part.numbers)
            near.append(_Reached(part.position, part.numbers, scores, bytes_))
        rough = []
        for part in _best(near, wanted):
            segment = view.segments[part.position]
            scores = _near_scores(segment, closeness[segment.companion.name], query, part)
            rough.append(_Reached(part.position, part.numbers, scores, part.bytes))
        for part in _best(rough, max(_RANKED, math.ceil(_RANKED_PER_RESULT * k))):
            found[part.position] = part.numbers
        return found


@dataclass(frozen=True)
class _Reached:
    """Documents of one segment on their way through the steps."""

    position: int
    """Of the segment."""
    numbers: Ints
    """(documents,) ascending."""
    scores: Floats
    """(documents,) by the last step."""
    bytes: Bytes
    """(documents, width) of `Closeness.interact`; before it, width is 0."""

    def where(self, kept: NDArray[np.bool_]) -> _Reached:
        """Those of the documents that ``kept`` (documents,) says."""
        return _Reached(self.position, self.numbers[kept], self.scores[kept], self.bytes[kept])


def _codebook_of(entry: SegmentEntry) -> str | None:
    """Path of the codebook that the segment's lists belong to; their file names tell."""
    for name in entry.files:
        stem, _, part = name.partition(".")
        if part == "members.npy":
            return f"{SHARED}/{stem}.npy"
    return None


def _steps_of(name: str) -> str:
    """Path of the steps that belong to a codebook."""
    return name.removesuffix(".npy") + _STEPS


def _spread(segment: Segment, centroids: Floats) -> float:
    """Mean squared distance of a sample of the segment's tokens to their centroids."""
    sample = segment.decode(segment.sample(chosen(segment.entry.tokens, _DRIFT_SAMPLE)))
    return float(distances(sample, centroids, assign(sample, centroids)).mean())


def _near_scores(segment: OpenSegment, closeness: Closeness, query: Floats, part: _Reached) -> Floats:
    """MaxSim over the tokens that the centroids say may matter, with a query of 7 bits."""
    files = segment.files
    tokens, counts = closeness.near(segment.companion, part.numbers, part.bytes)
    rows = np.repeat(files.offsets[part.numbers], counts) + tokens
    scores = np.full(len(counts), -np.inf, np.float32)
    some = counts > 0
    scores[some] = maxsim_rows(query, files.tokens, rows, counts[some], quantisation=files.quantisation, rough=True)
    return scores


def _best(reached: Sequence[_Reached], wanted: int) -> list[_Reached]:
    """The ``wanted`` best over all segments, still ascending in each; equal scores at the border all stay.

    Segments that are left without documents are left out.
    """
    if sum(len(part.numbers) for part in reached) <= wanted:
        return list(reached)
    scores = np.concatenate([part.scores for part in reached])
    border = nth_largest(scores, wanted)
    kept = (part.where(part.scores >= border) for part in reached)
    return [part for part in kept if len(part.numbers)]
