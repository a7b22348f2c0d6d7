"""The best similarity of each query row, over a block of documents of one length, in the form that they are stored in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from laterank.rows import QuantizedRows, as_float32
from laterank.scoring.graphs import BASE, FLOAT16_GRAPH, FLOAT32_GRAPH, INT8_GRAPH, ZERO
from laterank.scoring.sessions import run

__all__ = ["Float16Kernel", "Float32Kernel", "Int8Kernel", "Kernel", "Scratch", "fits_integers"]

Floats = NDArray[np.float32]
Document = TypeVar("Document", contravariant=True)  # noqa: PLC0105

LARGEST_HIGH = 64
"""A part of a query's number lies in [-64, 64]: 2 * 255 * 64 fits into 16 bits, in which processors without VNNI add
two products and would cut off the rest. Both parts together have 14 bits."""
LARGEST_PART = BASE * LARGEST_HIGH
LARGEST_INT8_DIM = (2**31 - 1) // (128 * (LARGEST_PART + LARGEST_HIGH))
"""Numbers in a row, 2015, whose products cannot leave 32 bits."""


class Scratch:
    """Memory that one thread packs block after block into: fresh memory takes longer to get than rows to copy."""

    def __init__(self) -> None:
        self._kept: dict[np.dtype[Any], NDArray[Any]] = {}

    def block(self, documents: Sequence[NDArray[Any]], length: int, dtype: DTypeLike) -> NDArray[Any]:
        """Return documents of one length in one array, each filled up with its own first rows; the next block overwrites it."""
        parts = []
        for document in documents:
            parts.append(document)
            missing = length - len(document)
            if missing:  # by one array where there are enough rows: each costs as much as copying ten rows
                parts += [document[:missing]] if missing <= len(document) else [document[:1]] * missing
        shape = (len(documents) * length, *documents[0].shape[1:])
        block = self._numbers(math.prod(shape), np.dtype(dtype)).reshape(shape)
        np.concatenate(parts, out=block, casting="same_kind")
        return block.reshape(len(documents), length, *shape[1:])

    def _numbers(self, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return memory for so many numbers, the same as for the block before where that has room."""
        kept = self._kept.get(dtype)
        if kept is None or len(kept) < count:
            kept = self._kept[dtype] = np.empty(count + count // 4, dtype)  # blocks differ by less than that
        return kept[:count]


class Kernel(Protocol[Document]):
    """One query, ready to meet documents of one form."""

    def best(self, documents: Sequence[Document], length: int, scratch: Scratch) -> Floats:
        """Return the highest similarity that each query row has in each document.

        Args:
            documents: Their rows, at least one and at most ``length`` each.
            length: Rows that each is brought to by repeating some of its own, which changes no maximum.
            scratch: The calling thread's.

        Returns:
            *Shape:* ``(len(documents), query_tokens)``
        """


class Float32Kernel:
    """Products of float32."""

    def __init__(self, query: Floats) -> None:
        self._columns = np.ascontiguousarray(query.T, dtype=np.float32)

    def best(self, documents: Sequence[NDArray[Any]], length: int, scratch: Scratch) -> Floats:
        """See ``Kernel``. *Shape:* ``(tokens, dim)`` each, of any float type"""
        block = scratch.block(documents, length, np.float32)
        return _best_of_floats(FLOAT32_GRAPH, block, self._columns)


class Float16Kernel:
    """Rows of float16, widened within the graph; the products are those of float32."""

    def __init__(self, query: Floats) -> None:
        self._columns = np.ascontiguousarray(query.T, dtype=np.float32)

    def best(self, documents: Sequence[NDArray[np.float16]], length: int, scratch: Scratch) -> Floats:
        """See ``Kernel``. *Shape:* ``(tokens, dim)`` each"""
        return _best_of_floats(FLOAT16_GRAPH, scratch.block(documents, length, np.float16), self._columns)


class Int8Kernel:
    """Products of integers, exact and the same on every processor.

    The documents' rows are taken as they are stored. Each query row is rounded to 14 bits, ``q = step * (128 * high +
    low)``, which moves a similarity of unit rows by some 1e-5: a hundredth of what storing documents in INT8 does.
    """

    def __init__(self, query: Floats) -> None:
        largest = np.abs(query).max(axis=1).astype(np.float32)
        self._steps = largest / np.float32(LARGEST_PART)
        divisors = np.where(self._steps == 0, np.float32(np.inf), self._steps)
        whole = np.rint(query / divisors[:, None]).astype(np.int32).T
        high = (whole + BASE // 2) // BASE
        self._high = np.ascontiguousarray(high, dtype=np.int8)
        self._low = np.ascontiguousarray(whole - BASE * high, dtype=np.int8)

    def best(self, documents: Sequence[QuantizedRows], length: int, scratch: Scratch) -> Floats:
        """See ``Kernel``. *Shape:* ``(tokens, dim)`` each"""
        numbers = scratch.block([document.numbers for document in documents], length, np.int8).view(np.uint8)
        scales = scratch.block([document.scales for document in documents], length, np.float32).ravel()
        dim = numbers.shape[2]
        feed = {
            "documents": np.bitwise_xor(numbers, np.uint8(ZERO), out=numbers).reshape(-1, dim),
            "scales": scales,
            "high": self._high,
            "low": self._low,
            "shape": np.array([len(documents), length, len(self._steps)], dtype=np.int64),
        }
        (best,) = run(INT8_GRAPH, feed)
        broken = ~np.isfinite(scales.reshape(len(documents), length)).all(axis=1)
        best[broken] = np.nan  # which onnxruntime's maximum may hide
        return np.asarray(best * self._steps, dtype=np.float32)


def fits_integers(query: Floats) -> bool:
    """Tell whether a query can be rounded to integers, and its products added up in 32 bits."""
    largest = np.abs(query).max()
    return query.shape[1] <= LARGEST_INT8_DIM and bool(np.isfinite(largest)) and largest < 1e30


def _best_of_floats(graph: bytes, block: NDArray[Any], columns: Floats) -> Floats:
    best, total = run(graph, {"documents": block, "query": columns})
    if np.isfinite(total):
        return np.asarray(best)
    with np.errstate(invalid="ignore", over="ignore"):
        similarities = np.matmul(as_float32(block), columns)
    best[~np.isfinite(similarities).all(axis=(1, 2))] = np.nan  # which onnxruntime's maximum may hide
    return np.asarray(best)
