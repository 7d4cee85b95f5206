"""Hierarchical token pooling: fewer vectors per document, without SciPy.

Clavié, Chaffin and Adams, "Reducing the Footprint of Multi-Vector Retrieval with Minimal Performance Impact via Token
Pooling" (2024): cluster a document's token vectors by Ward linkage and keep the mean of each cluster. The reference
calls ``scipy.cluster.hierarchy.linkage(condensed, "ward")`` and ``fcluster(..., criterion="maxclust")``; this module
computes the same flat clusters in the same order. Exactly tied distances (repeated tokens in identical context) are
resolved by the lower index, as SciPy does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pool(vectors: NDArray[np.float32], *, pool_factor: int, protected_tokens: int = 1) -> NDArray[np.float32]:
    """Pool the token vectors of one document.

    Args:
        vectors: (tokens, dim) float32, L2-normalised.
        pool_factor: keep ``max((tokens - protected) // pool_factor, 1)`` clusters.
        protected_tokens: number of leading tokens that are not pooled.

    Returns:
        (protected + clusters, dim) float32: the protected vectors, then the cluster means by label. Means are not
        normalised again.
    """
    return pool_with_clusters(vectors, pool_factor=pool_factor, protected_tokens=protected_tokens)[0]


def pool_with_clusters(
    vectors: NDArray[np.float32], *, pool_factor: int, protected_tokens: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Like `pool`; also returns (tokens,) the index of the pooled vector of each token."""
    protected, rest = vectors[:protected_tokens], vectors[protected_tokens:]
    clusters = max(len(rest) // pool_factor, 1)
    if clusters >= len(rest):
        return vectors, np.arange(len(vectors))
    labels = _flat_clusters(*_ward_linkage(1 - rest @ rest.T), clusters)
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    sums = np.add.reduceat(rest[order], starts, axis=0)
    sizes = np.diff(starts, append=len(order)).astype(np.float32)
    numbers = np.searchsorted(np.unique(labels), labels) + len(protected)
    return np.concatenate([protected, sums / sizes[:, None]]), np.concatenate([np.arange(len(protected)), numbers])


def _ward_linkage(distances: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ward linkage by the nearest-neighbour chain (Müllner 2011, "Modern hierarchical, agglomerative clustering").

    Args:
        distances: (n, n) symmetric; the upper triangle counts.

    Returns:
        children (n - 1, 2): nodes merged at each step, the smaller id first; leaves are 0..n-1, step i makes node
        n + i. heights (n - 1,): the distance of each merge, ascending.
    """
    n = len(distances)
    full = np.triu(distances, 1).astype(np.float64)
    full += full.T
    np.fill_diagonal(full, np.inf)  # a cluster is never its own neighbour; retired clusters become inf as well
    sizes = np.ones(n)
    merges = np.empty((n - 1, 2), dtype=np.int64)
    heights = np.empty(n - 1)
    chain: list[int] = []
    first = 0
    for step in range(n - 1):
        if not chain:
            while sizes[first] == 0:
                first += 1
            chain.append(first)
        while True:
            x = chain[-1]
            row = full[x]
            y = int(row.argmin())
            # In a tie the previous element wins, otherwise the chain could cycle.
            if len(chain) > 1 and row[chain[-2]] <= row[y]:
                y = chain[-2]
                break
            chain.append(y)
        height = full[x, y]
        del chain[-2:]
        x, y = min(x, y), max(x, y)
        # Lance-Williams update for Ward; the merged cluster is stored in y.
        total = sizes + (sizes[x] + sizes[y])
        squares = (
            (sizes + sizes[x]) * full[x] ** 2 + (sizes + sizes[y]) * full[y] ** 2 - sizes * (height * height)
        ) / total
        merged = np.sqrt(np.maximum(squares, 0))
        merged[sizes == 0] = np.inf
        merged[x] = merged[y] = np.inf
        full[x] = full[:, x] = np.inf
        full[y] = full[:, y] = merged
        sizes[y] += sizes[x]
        sizes[x] = 0
        merges[step] = x, y
        heights[step] = height
    return _relabel(merges, heights, n)


def _relabel(
    merges: NDArray[np.int64], heights: NDArray[np.float64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sort merges by height and name merged clusters n, n + 1, ... in that order."""
    order = np.argsort(heights, kind="stable")
    parent = np.arange(2 * n - 1)
    children = np.empty((n - 1, 2), dtype=np.int64)
    for node, (x, y) in enumerate(merges[order].tolist(), start=n):
        rx, ry = _root(parent, x), _root(parent, y)
        children[node - n] = min(rx, ry), max(rx, ry)
        parent[rx] = parent[ry] = node
    return children, heights[order]


def _root(parent: NDArray[np.int64], node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]  # path halving keeps the walks short
        node = int(parent[node])
    return node


def _flat_clusters(children: NDArray[np.int64], heights: NDArray[np.float64], clusters: int) -> NDArray[np.int64]:
    """Cut the tree at the lowest merge height that leaves at most ``clusters`` clusters.

    Returns:
        (n,) labels 0, 1, ... in the order in which SciPy's ``fcluster`` meets them: below every node that is cut,
        first its inner children, then its leaves.
    """
    n = len(heights) + 1
    cutoff = heights[n - 1 - clusters]
    labels = np.full(2 * n - 1, -1, dtype=np.int64)
    count = 0
    stack = [2 * n - 2]
    while stack:
        node = stack.pop()
        if node < n or heights[node - n] <= cutoff:
            labels[node] = count
            count += 1
            continue
        pair = children[node - n].tolist()
        # popped from the end: inner children left to right, then leaves left to right
        stack += [c for c in reversed(pair) if c < n] + [c for c in reversed(pair) if c >= n]
    for node in range(2 * n - 2, n - 1, -1):
        if labels[node] >= 0:
            labels[children[node - n]] = labels[node]
    return labels[:n]
