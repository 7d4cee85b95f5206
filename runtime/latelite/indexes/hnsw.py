"""Token graph: hnswlib proposes documents by their nearest tokens, exact MaxSim on the store ranks them.

A query is answered in four steps, the last three each over fewer documents with a better score. All but the last work
with fewer query tokens, nearly equal ones being added up:

1. The graph finds the tokens nearest to each query token.
2. MaxSim over the tokens that were found and a sample of the others, for all documents of these tokens. What was
   found says little by itself: most documents have tokens near to one or two query tokens only.
3. MaxSim over all tokens with a query of 7 bits, for the best of step 2.
4. MaxSim over all tokens for the best of step 3: the scores that are returned are exact.

hnswlib 0.8.0 is used for one thing only, a graph that is built once, saved, and searched. What it does not check is
checked here: `save_index` reports neither an unwritable path nor a full disk (the size is compared and the file
fsynced), `load_index` accepts any bytes, any dimension and any space, and may crash on garbage (the checksum comes
first, always), it resets ``ef`` (set again), and a ``k`` that the graph cannot reach raises (nmslib/hnswlib issue 321;
a scan takes over). Its deletions are not used: deleted ids stay in `get_ids_list` (issue 309), the space of deleted
tokens comes back only by building the graph anew (issue 249), and ``replace_deleted`` loses recall.

A checksum proves that a graph is what was written, not who wrote it: open graphs only of people you trust, since
hnswlib reads them without looking. The other kinds have nothing of the sort.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from latelite.arrays import Floats, Ints, Mask, distinct
from latelite.cpus import usable_cpus
from latelite.errors import IndexCorruptError, IndexNotFoundError, MissingExtraError
from latelite.files import sha256
from latelite.indexes.index import TokenIndex
from latelite.indexes.queries import merge_tokens
from latelite.indexes.ranking import nth_largest
from latelite.maxsim import maxsim, maxsim_rows
from latelite.maxsim.blocks import ranges
from latelite.storage.folders import fsync_file, refuse_special
from latelite.storage.kind import IndexKind, everything_allowed
from latelite.storage.segments import Segment, SegmentWriter
from latelite.storage.snapshot import OpenSegment, Recent, Snapshot

GRAPH = "graph.bin"

_SEED = 100
_WIDEST = 16
"""How much further than ``k_token`` a filtered search looks before the filter is applied."""
_EVERY = 16
"""Step 2 samples one token of so many. On SciFact 8 hold .001 more of the ten best and take a twelfth more time."""
_PER_RESULT = 8
"""Documents of step 3 per result, at least."""
_RANKED = 24
"""Documents of step 4, at least."""
_RANKED_PER_RESULT = 1.5
"""Documents of step 4 per result, at least: rounding a query to 7 bits hardly ever moves a document farther."""
_FEW = 256
"""Documents; a filter that leaves no more is scored without the graph."""


class HNSWKind(IndexKind):
    """A graph beside each segment that is large enough for one."""

    name = "hnsw"
    defaults: ClassVar[Mapping[str, Any]] = {
        "M": 16,
        "ef_construction": 200,
        "ef_search": 96,
        "k_token": 96,
        "n_candidates": 176,
        "graph_threshold": 8192,
    }
    least: ClassVar[Mapping[str, int]] = {"M": 2, "ef_construction": 2, "ef_search": 2, "graph_threshold": 0}

    def __init__(self, threads: int | None = None, **asked: Any) -> None:
        self._hnswlib = _hnswlib()
        self._threads = threads or usable_cpus()
        super().__init__(**asked)

    def build(self, writer: SegmentWriter, parents: Sequence[OpenSegment], base: Snapshot) -> Any:
        """Link the segment's tokens; returns the graph."""
        segment = writer.so_far()
        tokens = segment.entry.tokens
        if tokens < self.settings["graph_threshold"]:
            return None
        graph, done = self._begun(segment, parents)
        position = 0
        for block in segment.blocks():
            start = max(done - position, 0)
            if start < len(block):
                labels = np.arange(position + start, position + len(block))
                graph.add_items(block[start:], labels, num_threads=self._threads)
            position += len(block)
        path = writer.folder / GRAPH
        graph.save_index(str(path))
        fsync_file(path)
        size = path.stat().st_size
        if size != graph.index_file_size():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        writer.add_file(GRAPH, size, sha256(path))
        graph.set_ef(self.settings["ef_search"])
        return graph

    def _begun(self, segment: Segment, parents: Sequence[OpenSegment]) -> tuple[Any, int]:
        """A graph with room for the segment: that of the first parent, where it is still whole and as asked for.

        Also returns the number of tokens that are in it already: those of the first parent, with their numbers.
        """
        tokens = segment.entry.tokens
        if parents and parents[0].live is None and parents[0].sidecar is not None:
            first = parents[0].files
            _check(first)
            graph = self._hnswlib.Index(space="ip", dim=segment.dim)
            graph.load_index(str(first.folder / GRAPH), max_elements=tokens)
            if self.settings["M"] == graph.M:
                graph.set_num_threads(self._threads)
                return graph, first.entry.tokens
        m, breadth = self.settings["M"], self.settings["ef_construction"]
        graph = self._hnswlib.Index(space="ip", dim=segment.dim)  # hnswlib does not begin a loaded one anew
        graph.init_index(tokens, M=m, ef_construction=breadth, random_seed=_SEED)
        graph.set_num_threads(self._threads)
        return graph, 0

    def load(self, segment: Segment) -> Any:
        """The graph of a segment, in memory."""
        if GRAPH not in segment.files:
            return None
        _check(segment)
        path = segment.folder / GRAPH
        graph = self._hnswlib.Index(space="ip", dim=segment.dim)
        try:
            graph.load_index(str(path))
        except RuntimeError as error:
            if not path.exists():  # deleted by a writer since the check: let the caller read the catalogue again
                raise FileNotFoundError(str(path)) from error
            raise IndexCorruptError(f"{path} cannot be loaded by hnswlib: {error}.") from error
        if graph.get_current_count() != segment.entry.tokens:
            raise IndexCorruptError(f"{path} holds {graph.get_current_count()} tokens, not {segment.entry.tokens}.")
        graph.set_ef(self.settings["ef_search"])
        return graph

    def verify(self, segment: Segment) -> None:
        """Compare the graph with its checksum."""
        if GRAPH in segment.files:
            _check(segment)

    def candidates(self, view: Snapshot, query: Floats, k: int, allowed: Sequence[Mask | None]) -> list[Ints | None]:
        if all(segment.sidecar is None for segment in view.parts):
            return [everything_allowed(mask) for mask in allowed]
        lean = merge_tokens(query)
        return [
            everything_allowed(mask)
            if segment.sidecar is None
            else _promising(segment, lean, k, self._near(segment, lean, k, mask))
            for segment, mask in zip(view.parts, allowed, strict=True)
        ]

    def _near(self, segment: OpenSegment | Recent, query: Floats, k: int, mask: Mask | None) -> Ints | None:
        """Documents of the tokens nearest to the query's, ascending, at least ``k`` where that many are allowed."""
        documents = len(segment) if mask is None else int(mask.sum())
        if mask is not None and documents <= max(k, _FEW):
            return np.flatnonzero(mask)
        tokens = len(segment.tokens)
        wanted = max(self.settings["k_token"], k)
        if mask is not None:
            wanted = min(wanted * -(-len(segment) // documents), wanted * _WIDEST)
        while wanted < tokens:
            try:
                labels, _ = segment.sidecar.knn_query(query, k=wanted, num_threads=self._threads)
            except RuntimeError:  # fewer tokens are connected than asked for: a scan finds the rest
                break
            hits = distinct(labels.astype(np.int64).ravel())
            owners = np.searchsorted(segment.offsets, hits, side="right") - 1
            if mask is not None:
                hits, owners = hits[mask[owners]], owners[mask[owners]]
            found = distinct(owners)
            if len(found) >= min(k, documents):
                scores = _sampled_scores(segment, query, found, hits)
                return _best(found, scores, max(self.settings["n_candidates"], _PER_RESULT * k))
            wanted *= 4
        return everything_allowed(mask)


class HNSW(TokenIndex):
    """Graph over token vectors, one per segment, held in memory: about 660 bytes a token with M = 16.

    Segments of fewer than ``graph_threshold`` tokens are scanned, which is faster than a graph and exact.

    hnswlib trusts the graphs that it loads. Checksums find damage, but whoever makes a folder makes its checksums, too:
    do not open an HNSW index that comes from someone you do not trust. The other kinds, whose files are arrays with
    checked bounds, may be opened.

    One object may be used from several threads, as any `TokenIndex`.
    """

    kind = "hnsw"

    def __init__(
        self,
        index_folder: str | Path = "latelite-index",
        index_name: str = "index",
        override: bool = False,
        *,
        embedding_size: int | None = None,
        fingerprint: str | None = None,
        M: int | None = None,
        ef_construction: int | None = None,
        ef_search: int | None = None,
        k_token: int | None = None,
        n_candidates: int | None = None,
        graph_threshold: int | None = None,
        threads: int | None = None,
        timeout: float = 30.0,
    ) -> None:
        """As `TokenIndex`. None takes what the index was last written with, in a new one the default.

        Args:
            M: links per token and layer of graphs that are built from now on; by default 16.
            ef_construction: breadth of the search when a token is linked; by default 200.
            ef_search: breadth of the search for a query token; by default 96.
            k_token: tokens that each query token contributes; their documents are the candidates. Up to ``ef_search``
                they cost the graph no more time. By default 96.
            n_candidates: documents whose tokens are all scored (eight times ``k`` where that is more): the best by
                the tokens that were found and a sample of the others; by default 176.
            graph_threshold: tokens from which a segment gets a graph; by default 8,192.
            threads: for building and searching graphs; None takes all that the process may use. One thread always
                builds the same graph; with several, insertion order varies and so may the graph's last misses.

        Raises:
            MissingExtraError: hnswlib is not installed.
        """
        super().__init__(
            HNSWKind(
                threads,
                M=M,
                ef_construction=ef_construction,
                ef_search=ef_search,
                k_token=k_token,
                n_candidates=n_candidates,
                graph_threshold=graph_threshold,
            ),
            index_folder,
            index_name,
            override,
            embedding_size=embedding_size,
            fingerprint=fingerprint,
            timeout=timeout,
        )


def _check(segment: Segment) -> None:
    """Compare the graph with its checksum, before hnswlib sees it."""
    path = segment.folder / GRAPH
    refuse_special(path)
    size, digest = segment.files[GRAPH]
    try:
        if path.stat().st_size != size or sha256(path) != digest:
            raise IndexCorruptError(f"{path} was altered: it does not have its recorded checksum.")
    except FileNotFoundError as error:
        raise IndexNotFoundError(f"{path} is missing from the index.") from error


def _sampled_scores(files: OpenSegment | Recent, query: Floats, numbers: Ints, hits: Ints) -> Floats:
    """MaxSim over some tokens of the documents ``numbers``: their ``hits`` and, for the rest, every `_EVERY`-th.

    Args:
        numbers: (documents,) ascending.
        hits: tokens that were found, ascending, each of one of the documents, and at least one of each.
    """
    starts, ends = files.offsets[numbers], files.offsets[numbers + 1]
    counts = -(-(ends - starts) // _EVERY)
    sample = np.repeat(starts, counts) + _EVERY * ranges(np.zeros_like(counts), counts)
    rows = np.sort(np.concatenate([hits, sample]), kind="stable")  # merges the two; a token twice does no harm
    lengths = np.searchsorted(rows, ends) - np.searchsorted(rows, starts)
    return maxsim_rows(query, files.tokens, rows, lengths, quantisation=files.quantisation, rough=True)


def _best(numbers: Ints, scores: Floats, wanted: int) -> Ints:
    """The ``wanted`` best of ``numbers``, still ascending; equal scores at the border all stay."""
    if len(numbers) <= wanted:
        return numbers
    best: Ints = numbers[scores >= nth_largest(scores, wanted)]
    return best


def _promising(segment: OpenSegment | Recent, query: Floats, k: int, numbers: Ints | None) -> Ints | None:
    """Those of the documents ``numbers`` that are among the best for a query of 7 bits, ascending.

    That halves the time for scoring: only what comes near to the ``k`` best is scored with all bits afterwards.
    """
    files = segment
    wanted = max(_RANKED, math.ceil(_RANKED_PER_RESULT * k))
    if numbers is None or len(numbers) <= wanted or files.quantisation is None:
        return numbers
    scores = maxsim(query, files.tokens, files.offsets, documents=numbers, quantisation=files.quantisation, rough=True)
    return _best(numbers, scores, wanted)


def _hnswlib() -> Any:
    """The module; raises MissingExtraError with the command that installs it."""
    try:
        import hnswlib
    except ImportError as error:
        raise MissingExtraError(
            'indexes.HNSW needs hnswlib, which is not installed: pip install "latelite[hnsw]" '
            "(it is compiled, which needs a C++ compiler and Python's headers)"
        ) from error
    return hnswlib
