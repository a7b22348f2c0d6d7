"""MaxSim, the score of late interaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from laterank.errors import InputTypeError, ShapeError

__all__ = ["maxsim"]

Rows = NDArray[np.float32]

SIMILARITIES_AT_ONCE = 1 << 17
"""Numbers in a similarity block: 512 KiB stay in the processor's cache, however many candidates there are."""


def maxsim(query: Rows, documents: Sequence[Rows]) -> Rows:
    """Score documents against one query by late interaction.

    ``score(q, d) = sum_i max_j <q_i, d_j>`` (Khattab & Zaharia 2020, arXiv 2004.12832). Each document's own rows meet
    the query alone: nothing is padded, and no document's score depends on the others.

    Args:
        query: Unit-length rows. *Shape:* ``(query_tokens, dim)``
        documents: One array each, lengths may differ. *Shape:* ``(document_tokens, dim)``

    Returns:
        Raw sums, in [-query_tokens, query_tokens]. *Shape:* ``(len(documents),)``

    Raises:
        ShapeError: If the query or a document has no tokens, or a document has another ``dim``.
        InputTypeError: If an argument is no array of float numbers.

    Examples:
        >>> import numpy as np
        >>> query = np.array([[1, 0], [0, 1]], dtype=np.float32)
        >>> near, far = np.array([[1, 0]], dtype=np.float32), np.array([[-1, 0]], dtype=np.float32)
        >>> maxsim(query, [near, far]).tolist()
        [1.0, -1.0]
    """
    _check_rows(query, "query", None)
    if not isinstance(documents, Iterable):
        raise InputTypeError(f"documents is {type(documents).__name__}, expected a list of arrays")
    documents = list(documents)
    for position, document in enumerate(documents):
        _check_rows(document, f"documents[{position}]", query.shape[1])
    columns = np.ascontiguousarray(query.T, dtype=np.float32)
    scores = np.empty(len(documents), dtype=np.float32)
    for start, end in _blocks([len(document) for document in documents], SIMILARITIES_AT_ONCE // len(query)):
        scores[start:end] = _score_block(columns, documents[start:end])
    return scores


def _score_block(columns: Rows, documents: Sequence[Rows]) -> Rows:
    """Write every document's similarities into one array, then take all maxima in one pass.

    Args:
        columns: The query, one token a column. *Shape:* ``(dim, query_tokens)``
        documents: *Shape:* ``(document_tokens, dim)`` each
    """
    ends = np.cumsum([len(document) for document in documents])
    starts = ends - [len(document) for document in documents]
    similarities = np.empty((ends[-1], columns.shape[1]), dtype=np.float32)
    for document, start, end in zip(documents, starts, ends, strict=True):
        np.matmul(document.astype(np.float32, copy=False), columns, out=similarities[start:end])
    best: Rows = np.maximum.reduceat(similarities, starts, axis=0)
    return np.asarray(best.sum(axis=1), dtype=np.float32)


def _blocks(lengths: Sequence[int], most_rows: int) -> list[tuple[int, int]]:
    """Cut a list into ranges of at most ``most_rows`` rows, or of one item that is longer."""
    blocks, start, rows = [], 0, 0
    for position, length in enumerate(lengths):
        if rows and rows + length > most_rows:
            blocks.append((start, position))
            start, rows = position, 0
        rows += length
    if start < len(lengths):
        blocks.append((start, len(lengths)))
    return blocks


def _check_rows(rows: Rows, name: str, dim: int | None) -> None:
    if not isinstance(rows, np.ndarray) or rows.dtype.kind != "f":
        kind = f"an array of {rows.dtype}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise InputTypeError(f"{name} is {kind}, expected a float array of shape (tokens, dim)")
    if rows.ndim != 2 or rows.shape[0] == 0 or (dim is not None and rows.shape[1] != dim):
        raise ShapeError(
            f"{name} has shape {rows.shape}, expected (at least 1, {'dim' if dim is None else dim})"
        )
