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
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latelite.cpus import usable_cpus
from latelite.errors import IndexCorruptError, MissingExtraError
from latelite.indexes.exact import everything_allowed
from latelite.indexes.index import Floats, Ints, TokenIndex
from latelite.indexes.output import check_content, recorded
from latelite.indexes.queries import merged
from latelite.indexes.ranking import nth_largest
from latelite.indexes.segment import Segment
from latelite.indexes.snapshot import Mask, OpenSegment, Snapshot
from latelite.manifest import FileEntry
from latelite.maxsim import maxsim, maxsim_rows
from latelite.maxsim.blocks import ranges

GRAPH = "graph.bin"

_SEED = 100
_WIDEST = 16
"""How much further than ``k_token`` a filtered search looks before the filter is applied."""
_EVERY = 16
"""Step 2 samples one token of so many. On SciFact 8 hold .001 more of the ten best and take a twelfth more time."""
_PER_RESULT = 8
"""Documents of step 3 per result, at least."""
_RANKED = 24
"""Documents of step 4, at least, ..."""
_RANKED_PER_RESULT = 1.5
"""... and per result: rounding a query to 7 bits hardly ever moves a document farther."""
_FEW = 256
"""Documents; a filter that leaves no more is scored without the graph."""


class HNSW(TokenIndex):
    """Graph over token vectors, one per segment, held in memory: about 660 bytes a token with M = 16.

    Segments of fewer than ``graph_threshold`` tokens are scanned, which is faster than a graph and exact.
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
        M: int = 16,
        ef_construction: int = 200,
        ef_search: int = 96,
        k_token: int = 96,
        n_candidates: int = 176,
        graph_threshold: int = 8192,
        threads: int | None = None,
    ) -> None:
        """As `TokenIndex`; ``M`` and ``ef_construction`` apply to graphs that are built from now on.

        Args:
            M: links per token and layer.
            ef_construction: breadth of the search when a token is linked.
            ef_search: breadth of the search for a query token.
            k_token: tokens that each query token contributes; their documents are the candidates. Up to ``ef_search``
                they cost the graph no more time.
            n_candidates: documents whose tokens are all scored (eight times ``k`` where that is more): the best by
                the tokens that were found and a sample of the others. On SciFact's 1.37 million tokens 160 hold .987
                of the ten best and 176 hold .989, in a fiftieth more time.
            graph_threshold: tokens from which a segment gets a graph.
            threads: for building and searching graphs; None takes all that the process may use. One thread always
                builds the same graph; with several, insertion order varies and so may the graph's last misses.

        Raises:
            MissingExtraError: hnswlib is not installed.
        """
        self._hnswlib = _hnswlib()
        for name, value in (("M", M), ("ef_construction", ef_construction), ("ef_search", ef_search)):
            if value < 2:
                raise ValueError(f"{name} must be at least 2, not {value}.")
        for name, value in (("k_token", k_token), ("n_candidates", n_candidates)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}.")
        self._m = M
        self._ef_construction = ef_construction
        self._ef_search = ef_search
        self._k_token = k_token
        self._n_candidates = n_candidates
        self._graph_threshold = max(graph_threshold, 1)
        self._threads = threads or usable_cpus()
        self._built: dict[str, Any] = {}
        super().__init__(
            index_folder, index_name, override, embedding_size=embedding_size, fingerprint=fingerprint, store="int8"
        )

    def _parameters(self) -> Mapping[str, Any]:
        return {
            "M": self._m,
            "ef_construction": self._ef_construction,
            "ef_search": self._ef_search,
            "k_token": self._k_token,
            "n_candidates": self._n_candidates,
            "graph_threshold": self._graph_threshold,
        }

    def _extend(
        self, segment: Segment, parents: Sequence[OpenSegment], base: Snapshot, number: int
    ) -> tuple[Mapping[str, FileEntry], Mapping[str, FileEntry]]:
        tokens = segment.entry.tokens
        if tokens < self._graph_threshold:
            return {}, {}
        graph = self._hnswlib.Index(space="ip", dim=segment.dim)
        done = self._begin(graph, segment, parents)
        position = 0
        for block in segment.blocks():
            start = max(done - position, 0)
            if start < len(block):
                labels = np.arange(position + start, position + len(block))
                graph.add_items(block[start:], labels, num_threads=self._threads)
            position += len(block)
        path = segment.folder / GRAPH
        graph.save_index(str(path))
        entry = recorded(path)
        if entry.bytes != graph.index_file_size():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        graph.set_ef(self._ef_search)
        self._built[segment.name] = graph
        return {GRAPH: entry}, {}

    def _begin(self, graph: Any, segment: Segment, parents: Sequence[OpenSegment]) -> int:
        """Make room for the segment; take over the graph of the first parent when it is still whole.

        Returns the number of tokens that are in the graph already: those of the first parent, with their numbers.
        """
        tokens = segment.entry.tokens
        if parents and parents[0].live is None and GRAPH in parents[0].entry.files:
            first = parents[0].files
            check_content(first.folder / GRAPH, first.entry.files[GRAPH])
            graph.load_index(str(first.folder / GRAPH), max_elements=tokens)
            if self._m == graph.M:
                graph.set_num_threads(self._threads)
                return first.entry.tokens
        graph.init_index(tokens, M=self._m, ef_construction=self._ef_construction, random_seed=_SEED)
        graph.set_num_threads(self._threads)
        return 0

    def _companion(self, segment: Segment, shared: Mapping[str, Any]) -> Any:
        built = self._built.pop(segment.name, None)
        if built is not None or GRAPH not in segment.entry.files:
            return built
        path = segment.folder / GRAPH
        check_content(path, segment.entry.files[GRAPH])
        graph = self._hnswlib.Index(space="ip", dim=segment.dim)
        try:
            graph.load_index(str(path))
        except RuntimeError as error:
            if not path.exists():  # deleted by a writer since the check: let the caller read the pointer again
                raise FileNotFoundError(str(path)) from error
            raise IndexCorruptError(f"{path} cannot be loaded by hnswlib: {error}.") from error
        if graph.get_current_count() != segment.entry.tokens:
            raise IndexCorruptError(f"{path} holds {graph.get_current_count()} tokens, not {segment.entry.tokens}.")
        graph.set_ef(self._ef_search)
        return graph

    def _candidates(self, view: Snapshot, query: Floats, k: int, allowed: Sequence[Mask | None]) -> list[Ints | None]:
        if all(segment.companion is None for segment in view.segments):
            return [everything_allowed(mask) for mask in allowed]
        lean = merged(query)
        return [
            everything_allowed(mask)
            if segment.companion is None
            else _promising(segment, lean, k, self._near(segment, lean, k, mask))
            for segment, mask in zip(view.segments, allowed, strict=True)
        ]

    def _near(self, segment: OpenSegment, query: Floats, k: int, mask: Mask | None) -> Ints | None:
        """Documents of the tokens nearest to the query's, ascending, at least ``k`` where that many are allowed."""
        files = segment.files
        documents = len(files) if mask is None else int(mask.sum())
        if mask is not None and documents <= max(k, _FEW):
            return np.flatnonzero(mask)
        tokens = files.entry.tokens
        wanted = max(self._k_token, k)
        if mask is not None:
            wanted = min(wanted * -(-len(files) // documents), wanted * _WIDEST)
        while wanted < tokens:
            try:
                labels, _ = segment.companion.knn_query(query, k=wanted, num_threads=self._threads)
            except RuntimeError:  # fewer tokens are connected than asked for: a scan finds the rest
                break
            hits = np.unique(labels.astype(np.int64))
            owners = np.searchsorted(files.offsets, hits, side="right") - 1
            if mask is not None:
                hits, owners = hits[mask[owners]], owners[mask[owners]]
            found = np.unique(owners)
            if len(found) >= min(k, documents):
                scores = _sampled_scores(files, query, found, hits)
                return _best(found, scores, max(self._n_candidates, _PER_RESULT * k))
            wanted *= 4
        return everything_allowed(mask)


def _sampled_scores(files: Segment, query: Floats, numbers: Ints, hits: Ints) -> Floats:
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


def _promising(segment: OpenSegment, query: Floats, k: int, numbers: Ints | None) -> Ints | None:
    """Those of the documents ``numbers`` that are among the best for a query of 7 bits, ascending.

    That halves the time for scoring: only what comes near to the ``k`` best is scored with all bits afterwards.
    """
    files = segment.files
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
            'indexes.HNSW needs hnswlib, which is not installed: pip install "latelite[hnsw]"'
        ) from error
    return hnswlib
