"""Token pooling: fewer rows a document, as those that are nearly alike share one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["pool_rows", "ward_clusters"]

Rows = NDArray[np.float32]


def ward_clusters(rows: Rows, pool_factor: int) -> tuple[tuple[int, ...], ...]:
    """Put a document's rows into ``ceil(tokens / pool_factor)`` clusters of rows that are near each other.

    Hierarchical clustering by Ward's method (Ward 1963): from one cluster a row, the two are merged next whose merging adds the
    least to the sum of squared distances between rows and their cluster's mean. Of pairs that add the same, the first.

    Args:
        rows: One document's. *Shape:* ``(tokens, dim)``
        pool_factor: How many rows a cluster has on average, at least 1.

    Returns:
        The places of each cluster's rows, rising; clusters in the order of their first.
    """
    tokens = len(rows)
    members = [[place] for place in range(tokens)]
    costs = _merging_costs(rows)
    least = costs.min(axis=1, initial=np.inf)
    sizes = np.ones(tokens)
    for _ in range(tokens - -(-tokens // pool_factor)):
        one = int(least.argmin())
        kept, gone = sorted((one, int(costs[one].argmin())))
        to_kept, to_gone = costs[kept], costs[gone]
        stale = (least == to_kept) | (least == to_gone)  # those whose nearest cluster is one of the two
        # The recurrence of Lance & Williams (1967) for Ward's cost; what is infinite stays so.
        together = sizes[kept] + sizes[gone]
        merged = (sizes[kept] + sizes) * to_kept + (sizes[gone] + sizes) * to_gone - sizes * to_kept[gone]
        merged /= together + sizes
        costs[kept] = costs[:, kept] = merged
        costs[gone] = costs[:, gone] = least[gone] = np.inf
        stale &= least < np.inf
        least[stale] = costs[stale].min(axis=1)
        sizes[kept] = together
        members[kept] += members[gone]
        members[gone] = []
    return tuple(tuple(sorted(cluster)) for cluster in members if cluster)


def pool_rows(rows: Rows, pool_factor: int) -> Rows:
    """Return the mean of each cluster's rows, at unit length.

    Token pooling (Clavié, Chaffin & Adams 2024, arXiv 2409.14683): a document takes ``pool_factor`` times less
    room, and MaxSim has less to do. Nothing but the document itself decides it.

    Args:
        rows: One document's, at unit length. *Shape:* ``(tokens, dim)``
        pool_factor: How many rows become one, on average; 1 for the rows as they are.

    Returns:
        In the order of each cluster's first row. *Shape:* ``(ceil(tokens / pool_factor), dim)``
    """
    if pool_factor == 1 or len(rows) < 2:
        return rows
    clusters = ward_clusters(rows, pool_factor)
    starts = np.cumsum([0, *map(len, clusters[:-1])])
    sums = np.add.reduceat(rows[np.concatenate(clusters)], starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(lengths, 1e-12), dtype=np.float32)


def _merging_costs(rows: Rows) -> NDArray[np.float64]:
    """Return what merging any two rows adds to the squared distances: half their own; infinite for a row and itself.

    In float64, so that rounding decides between no two pairs that differ, and the same from both sides.
    """
    exact = rows.astype(np.float64)
    # A row at a time: for one large product BLAS starts threads, which then wait for the processors that encoding keeps busy.
    products = np.matmul(exact[:, None], exact.T)[:, 0]
    products = (products + products.T) / 2
    squares = np.diagonal(products)
    costs: NDArray[np.float64] = np.maximum((squares[:, None] + squares) / 2 - products, 0)
    np.fill_diagonal(costs, np.inf)
    return costs
