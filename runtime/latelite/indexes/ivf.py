"""Inverted lists of token centroids: candidates from a few megabytes, exact MaxSim on the mapped store ranks them.

Every token is represented by its nearest centroid; a document is the set of its tokens' centroids. A query is
answered in four steps, each over fewer documents with a better score:

1. Probing: the centroids nearest to each query token lead to documents; a document that a query token did not reach
   counts with the score of the worst centroid probed for it.
2. Centroid interaction: MaxSim over all centroids of a document, whether probed or not (Santhanam et al., PLAID, CIKM
   2022, section 4.2), for the best of step 1. Probing alone misjudges documents of anisotropic encoders.
3. MaxSim over the promising tokens of the best of step 2: those whose centroid is, for some query token, the best of
   their document. A fifth of the tokens finds the maximum nearly always.
4. MaxSim over all tokens of the best of step 3: the scores that are returned are exact.

A codebook is a shared file. New documents are assigned to the codebook that the index has; it is fitted again when a
merge makes a segment that has outgrown it, or when new tokens lie much farther from their centroids than old ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latelite.errors import IndexCorruptError
from latelite.indexes.codebook import Assigner, centroid_count, fit, nearest_by_product, sample_size, taken
from latelite.indexes.exact import everything_allowed
from latelite.indexes.generation import SegmentEntry
from latelite.indexes.index import Floats, Ints, TokenIndex
from latelite.indexes.output import check_content, open_array, write_whole
from latelite.indexes.segment import BLOCK_TOKENS, Segment
from latelite.indexes.snapshot import Mask, OpenSegment, Snapshot
from latelite.indexes.store import SHARED
from latelite.manifest import FileEntry
from latelite.maxsim import maxsim

_DRIFT = 1.25
"""A codebook is fitted again when new tokens lie this much farther (mean squared) from it than old ones."""
_DRIFT_SAMPLE = 2048
"""Tokens on either side of that comparison."""
_PER_RESULT = 10
"""Documents of step 3 per result, at least."""
_INTERACTING = 2
"""Documents of step 2 per document of step 3."""
_GLANCED_AT_ONCE = 256
"""Documents whose promising tokens are gathered at once, a bound on memory."""
_RANKED = 48
"""Documents of step 4, at least ..."""
_RANKED_PER_RESULT = 3
"""... and per result."""


@dataclass(frozen=True)
class Lists:
    """The inverted lists of one segment, mapped."""

    codebook: str
    """Path of the codebook inside the index."""
    members: NDArray[np.unsignedinteger[Any]]
    """(entries,) centroids of each document, ascending and once each, document after document."""
    members_offsets: Ints
    """(documents + 1,)"""
    postings: NDArray[np.unsignedinteger[Any]]
    """(entries,) documents of each centroid, ascending, centroid after centroid."""
    postings_offsets: Ints
    """(centroids + 1,)"""
    places: NDArray[np.unsignedinteger[Any]]
    """(tokens,) the token's centroid, as a place among the members of its document."""


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
        n_candidates: int = 448,
        scan_threshold: int = 8192,
    ) -> None:
        """As `TokenIndex`.

        Args:
            n_centroids: size of codebooks fitted from now on; None takes about 8 sqrt(tokens).
            n_probe: centroids that each query token looks into.
            n_candidates: documents of step 3 (ten times ``k`` where that is more).
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
        if name is None:
            name = f"{SHARED}/codebook-{number:08d}.npy"
            wanted = self._n_centroids or centroid_count(tokens)
            centroids = fit(taken(segment.blocks(), tokens, sample_size(wanted)), wanted)
            path = self._store.folder / name
            path.parent.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)  # of a writer that was killed before publishing
            shared[name] = write_whole(path, centroids)
        else:
            centroids = base.shared[name]
        members, lengths, places = _members(segment, Assigner(centroids, tokens))
        arrays = _lists(members, lengths, places, len(centroids))
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
        centroids: Floats = base.shared[name]
        wanted = self._n_centroids or centroid_count(segment.entry.tokens)
        if wanted >= 2 * len(centroids):
            return None
        tokens = segment.entry.tokens
        new = nearest_by_product(taken(segment.blocks(), tokens, _DRIFT_SAMPLE), centroids)[1].mean()
        tokens = largest.entry.tokens
        old = nearest_by_product(taken(largest.files.blocks(), tokens, _DRIFT_SAMPLE), centroids)[1].mean()
        return name if new <= _DRIFT * old else None

    def _companion(self, segment: Segment, shared: Mapping[str, Any]) -> Any:
        name = _codebook_of(segment.entry)
        if name is None:
            return None
        stem = Path(name).stem
        documents, entry = segment.entry.documents, segment.entry.files

        def part(name: str, length: int, dtype: Any) -> NDArray[Any]:
            return open_array(segment.folder / f"{stem}.{name}.npy", shape=(length,), dtype=dtype)

        if name not in shared:
            raise IndexCorruptError(f"{segment.folder} refers to {name}, which the generation does not name.")
        centroids = len(shared[name])
        for offsets in ("members_offsets", "postings_offsets"):
            check_content(segment.folder / f"{stem}.{offsets}.npy", entry[f"{stem}.{offsets}.npy"])
        members_offsets = part("members_offsets", documents + 1, np.int64)
        postings_offsets = part("postings_offsets", centroids + 1, np.int64)
        entries = int(members_offsets[-1])
        if int(postings_offsets[-1]) != entries:
            raise IndexCorruptError(f"{segment.folder}: members and postings of {stem} differ in number.")
        return Lists(
            codebook=name,
            members=part("members", entries, np.min_scalar_type(centroids - 1)),
            members_offsets=members_offsets,
            postings=part("postings", entries, np.min_scalar_type(documents - 1)),
            postings_offsets=postings_offsets,
            places=part("places", segment.entry.tokens, np.uint16),
        )

    def _share(self, path: Path, entry: FileEntry, dim: int) -> Any:
        check_content(path, entry)
        return open_array(path, shape=(-1, dim), dtype=np.float32)

    def _shared_in_use(self, segments: Sequence[SegmentEntry], files: Mapping[str, FileEntry]) -> set[str]:
        return {name for name in map(_codebook_of, segments) if name is not None}

    # ------------------------------------------------------------------------------------------------------- searching

    def _candidates(self, view: Snapshot, query: Floats, k: int, allowed: Sequence[Mask | None]) -> list[Ints | None]:
        wanted = max(self._n_candidates, _PER_RESULT * k)
        chosen: list[Ints | None] = []
        reached: list[tuple[int, Ints, Floats]] = []  # segment, its documents, their scores
        closeness: dict[str, Floats] = {}
        for position, (segment, mask) in enumerate(zip(view.segments, allowed, strict=True)):
            lists = segment.companion
            if lists is None:
                chosen.append(everything_allowed(mask))
                continue
            documents = len(segment.files) if mask is None else int(mask.sum())
            if documents <= wanted:
                chosen.append(np.arange(len(segment.files)) if mask is None else np.flatnonzero(mask))
                continue
            chosen.append(np.empty(0, np.int64))
            if lists.codebook not in closeness:
                # (query tokens, centroids) float32
                closeness[lists.codebook] = query @ view.shared[lists.codebook].T
            numbers, scores = _probe(lists, closeness[lists.codebook], len(segment.files), self._n_probe, mask)
            if len(numbers) < wanted:  # a narrow filter, or a query that is far from everything
                numbers = np.arange(len(segment.files)) if mask is None else np.flatnonzero(mask)
                scores = np.full(len(numbers), np.inf, np.float32)
            reached.append((position, numbers, scores))
        reached = _best(reached, _INTERACTING * wanted)
        reached = [
            (position, numbers, _interact(view.segments[position].companion, closeness, numbers))
            for position, numbers, _ in reached
        ]
        reached = [
            (position, numbers, _glance(view.segments[position], closeness, query, numbers))
            for position, numbers, _ in _best(reached, wanted)
        ]
        for position, numbers, _ in _best(reached, max(_RANKED, _RANKED_PER_RESULT * k)):
            chosen[position] = numbers
        return chosen


def _codebook_of(entry: SegmentEntry) -> str | None:
    """Path of the codebook that the segment's lists belong to; their file names tell."""
    for name in entry.files:
        stem, _, part = name.partition(".")
        if part == "members.npy":
            return f"{SHARED}/{stem}.npy"
    return None


def _members(segment: Segment, assign: Assigner) -> tuple[Ints, Ints, Ints]:
    """The distinct centroids of each document, how many each document has, and per token the place of its own."""
    members: list[NDArray[np.uint32]] = []
    places: list[NDArray[np.uint16]] = []
    lengths = np.empty(len(segment), np.int64)
    first = 0
    while first < len(segment):
        # Whole documents, about a block of tokens at a time.
        start = int(segment.offsets[first])
        last = max(int(np.searchsorted(segment.offsets, start + BLOCK_TOKENS, side="right")) - 1, first + 1)
        stop = int(segment.offsets[last])
        nearest = np.concatenate([assign(block) for block in _decoded(segment, start, stop)])
        owners = np.repeat(np.arange(last - first), np.diff(segment.offsets[first : last + 1]))
        pairs, entry = np.unique((owners << 32) | nearest, return_inverse=True)
        members.append((pairs & 0xFFFFFFFF).astype(np.uint32))
        count = np.bincount(pairs >> 32, minlength=last - first)
        lengths[first:last] = count
        places.append((entry - (np.cumsum(count) - count)[owners]).astype(np.uint16))
        first = last
    return np.concatenate(members), lengths, np.concatenate(places)


def _decoded(segment: Segment, start: int, stop: int) -> Iterator[Floats]:
    for position in range(start, stop, BLOCK_TOKENS):
        yield segment.decoded(position, min(position + BLOCK_TOKENS, stop))


def _lists(members: Ints, lengths: Ints, places: Ints, centroids: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of `Lists`, by name, in the smallest unsigned types that hold them."""
    yield "members", members.astype(np.min_scalar_type(centroids - 1))
    yield "places", places
    yield "members_offsets", np.concatenate(([0], np.cumsum(lengths)))
    owners = np.repeat(np.arange(len(lengths), dtype=np.min_scalar_type(len(lengths) - 1)), lengths)
    yield "postings", owners[np.argsort(members, kind="stable")]
    yield "postings_offsets", np.concatenate(([0], np.cumsum(np.bincount(members, minlength=centroids))))


def _ranges(starts: Ints, lengths: Ints) -> Ints:
    """The numbers ``start, start + 1, ...`` of every range, one range after another."""
    ends = np.cumsum(lengths)
    steps = np.arange(int(ends[-1]) if len(ends) else 0)
    result: Ints = steps + np.repeat(starts - (ends - lengths), lengths)
    return result


def _probe(lists: Lists, closeness: Floats, documents: int, n_probe: int, mask: Mask | None) -> tuple[Ints, Floats]:
    """Step 1: the documents that the probed centroids lead to, ascending, and their scores."""
    rows, centroids = closeness.shape
    n_probe = min(n_probe, centroids)
    probed = np.argpartition(closeness, centroids - n_probe, axis=1)[:, centroids - n_probe :]
    values = np.take_along_axis(closeness, probed, axis=1)
    order = np.argsort(values, axis=1)
    probed = np.take_along_axis(probed, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    floor = values[:, 0]
    starts = lists.postings_offsets[probed.ravel()]
    lengths = lists.postings_offsets[probed.ravel() + 1] - starts
    owners = lists.postings[_ranges(starts, lengths)].astype(np.int64)
    gains = np.repeat((values - floor[:, None]).ravel(), lengths)
    tokens = np.repeat(np.repeat(np.arange(rows), n_probe), lengths)
    # Values ascend within a query token, and of several assignments to one place the last stays: the maximum.
    best = np.zeros((documents, rows), np.float32)
    best[owners, tokens] = gains
    touched = np.zeros(documents, np.bool_)
    touched[owners] = True
    if mask is not None:
        touched &= mask
    numbers = np.flatnonzero(touched)
    scores: Floats = best[numbers].sum(axis=1) + floor.sum()
    return numbers, scores


def _interact(lists: Lists, closeness: Mapping[str, Floats], numbers: Ints) -> Floats:
    """Step 2: MaxSim over the centroids of the documents ``numbers``."""
    starts = lists.members_offsets[numbers]
    lengths = lists.members_offsets[numbers + 1] - starts
    table = closeness[lists.codebook]
    scores = np.empty(len(numbers), np.float32)
    ends = np.cumsum(lengths)
    # (query tokens, entries) float32 would be large for a narrow filter over many documents: about a block at a time.
    first = 0
    while first < len(numbers):
        base = int(ends[first] - lengths[first])
        last = max(int(np.searchsorted(ends, base + BLOCK_TOKENS, side="right")), first + 1)
        entries = lists.members[_ranges(starts[first:last], lengths[first:last])]
        values = np.take(table, entries, axis=1)
        cuts = ends[first:last] - lengths[first:last] - base
        scores[first:last] = np.maximum.reduceat(values, cuts, axis=1).sum(axis=0)
        first = last
    return scores


def _glance(segment: OpenSegment, closeness: Mapping[str, Floats], query: Floats, numbers: Ints) -> Floats:
    """Step 3: MaxSim over the promising tokens of the documents ``numbers``."""
    files, lists = segment.files, segment.companion
    table = closeness[lists.codebook]
    scores = np.empty(len(numbers), np.float32)
    for first in range(0, len(numbers), _GLANCED_AT_ONCE):
        part = numbers[first : first + _GLANCED_AT_ONCE]
        lengths = lists.members_offsets[part + 1] - lists.members_offsets[part]
        cuts = np.cumsum(lengths) - lengths
        values = np.take(table, lists.members[_ranges(lists.members_offsets[part], lengths)], axis=1)
        best = np.maximum.reduceat(values, cuts, axis=1)  # (query tokens, documents)
        promising = (values == np.repeat(best, lengths, axis=1)).any(axis=0)  # (entries,)
        sizes = files.offsets[part + 1] - files.offsets[part]
        tokens = _ranges(files.offsets[part], sizes)
        kept = promising[np.repeat(cuts, sizes) + lists.places[tokens]]
        counts = np.add.reduceat(kept, np.cumsum(sizes) - sizes, dtype=np.int64)
        offsets = np.concatenate(([0], np.cumsum(counts)))
        scores[first : first + len(part)] = maxsim(
            query, files.tokens[tokens[kept]], offsets, quantisation=files.quantisation
        )
    return scores


def _best(reached: Sequence[tuple[int, Ints, Floats]], wanted: int) -> list[tuple[int, Ints, Floats]]:
    """The ``wanted`` best over all segments, still ascending in each; equal scores at the border all stay."""
    if sum(len(numbers) for _, numbers, _ in reached) <= wanted:
        return list(reached)
    scores = np.concatenate([scores for _, _, scores in reached])
    border = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
    return [(position, numbers[scores >= border], scores[scores >= border]) for position, numbers, scores in reached]
