"""MaxSim, the score of late interaction."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laterank.checks import checked_count
from laterank.cpus import usable_cpus
from laterank.errors import InputTypeError, ShapeError
from laterank.rows import QuantizedRows, StoredRows, as_float32
from laterank.scoring.kernels import Float16Kernel, Float32Kernel, Int8Kernel, Kernel, Scratch, fits_integers

__all__ = ["maxsim"]

Rows = NDArray[np.float32]

SIMILARITIES_AT_ONCE = 1 << 18
"""Numbers in a similarity block, 1 MiB: smaller ones make threads wait for the interpreter's lock, larger ones leave the processor's cache."""
ROWS_AT_ONCE = 1 << 13
"""Rows in a block, 4 MiB of 128 float32 numbers each, however few rows the query has."""
LENGTH_STEP = 8
"""Documents of a block are brought to a multiple of it: a product of very few rows adds up in another order, and no score may
depend on company."""
MOST_PADDING = 0.15
"""How much shorter than the longest of its block a document may be, as a share of it, where it is shorter by ``LENGTH_STEP`` or
more: less makes more blocks, more is more work in each."""
MULTIPLICATIONS_PER_THREAD = 1 << 25
"""Some 0.5 ms of work, several times what starting a thread takes."""


def maxsim(query: Rows, documents: Sequence[StoredRows], *, threads: int | None = None) -> Rows:
    """Score documents against one query by late interaction.

    ``score(q, d) = sum_i max_j <q_i, d_j>`` (Khattab & Zaharia 2020, arXiv 2004.12832). Each document's own rows meet
    the query alone: no document's score depends on the others.

    Args:
        query: Unit-length rows. *Shape:* ``(query_tokens, dim)``
        documents: One each, lengths may differ: arrays of floats, or INT8 rows as ``SqliteCache`` gives them, which are scored
            without a float32 copy. *Shape:* ``(document_tokens, dim)``
        threads: The most threads to use, where there is enough work; None for every usable processor.

    Returns:
        Raw sums, in [-query_tokens, query_tokens]. *Shape:* ``(len(documents),)``

    Raises:
        ShapeError: If the query or a document has no tokens or no numbers, or a document has another ``dim``.
        InputTypeError: If an argument is no array of float numbers, nor INT8 rows, or ``threads`` is no whole number.
        InputError: If ``threads`` is less than 1.
        ProviderError: If onnxruntime is missing.

    Examples:
        >>> import numpy as np
        >>> query = np.array([[1, 0], [0, 1]], dtype=np.float32)
        >>> near, far = np.array([[1, 0]], dtype=np.float32), np.array([[-1, 0]], dtype=np.float32)
        >>> maxsim(query, [near, far]).tolist()
        [1.0, -1.0]
    """
    if isinstance(query, QuantizedRows):
        raise InputTypeError("query is QuantizedRows, expected a float array of shape (tokens, dim)")
    _check_rows(query)
    most = usable_cpus() if threads is None else checked_count(threads, "threads", otherwise=", or None")
    if not isinstance(documents, Iterable):
        raise InputTypeError(f"documents is {type(documents).__name__}, expected a list of arrays")
    documents = list(documents)
    for position, document in enumerate(documents):
        _check_rows(document, position, query.shape[1])
    scores = np.empty(len(documents), dtype=np.float32)

    tasks = list(_tasks(query.astype(np.float32, copy=False), documents))
    pending = iter(tasks)  # of a list: any thread may take the next one

    def work() -> None:
        """Score blocks until none is left, or one fails."""
        scratch = Scratch()
        try:
            for kernel, block, length in pending:
                best = kernel.best([documents[position] for position in block], length, scratch)
                scores[block] = best.sum(axis=1)
        except BaseException:
            collections.deque(pending, maxlen=0)  # other threads find nothing more to do
            raise

    multiplications = query.size * sum(map(len, documents))
    _on_threads(work, min(most, multiplications // MULTIPLICATIONS_PER_THREAD, len(tasks)))
    return scores


def _tasks(query: Rows, documents: list[StoredRows]) -> Iterator[tuple[Kernel[Any], list[int], int]]:
    """Yield blocks of documents of one form and one length, with what scores them."""
    if not fits_integers(query):
        documents[:] = map(_as_floats, documents)
    positions_of: dict[str, list[int]] = {}
    for position, document in enumerate(documents):
        positions_of.setdefault(_form(document), []).append(position)
    for form, positions in positions_of.items():
        kernel = KERNELS[form](query)
        lengths = [len(documents[position]) for position in positions]
        for block, length in _blocks(lengths, min(SIMILARITIES_AT_ONCE // len(query), ROWS_AT_ONCE)):
            yield kernel, [positions[place] for place in block], length


KERNELS: dict[str, Callable[[Rows], Kernel[Any]]] = {
    "int8": Int8Kernel,
    "float16": Float16Kernel,
    "float32": Float32Kernel,
}


def _form(rows: StoredRows) -> str:
    if isinstance(rows, QuantizedRows):
        return "int8"
    return "float16" if rows.dtype == np.float16 else "float32"


def _as_floats(rows: StoredRows) -> StoredRows:
    return as_float32(rows) if isinstance(rows, QuantizedRows) else rows


def _blocks(lengths: Sequence[int], most_rows: int) -> Iterator[tuple[list[int], int]]:
    """Yield places of documents that have about one length, and a length for all: at most ``most_rows`` rows, or one document."""
    block: list[int] = []
    longest = shortest = most = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if block and (len(block) == most or lengths[place] < shortest):
            yield block, longest
            block = []
        if not block:
            longest = math.ceil(lengths[place] / LENGTH_STEP) * LENGTH_STEP
            shortest = min(math.ceil(lengths[place] * (1 - MOST_PADDING)), longest - LENGTH_STEP + 1)
            most = max(1, most_rows // longest)
        block.append(place)
    if block:
        yield block, longest


def _on_threads(work: Callable[[], None], threads: int) -> None:
    """Call a function once a thread: this one, and others of this call's own where there are two or more to use."""
    if threads < 2:
        work()
        return
    with ThreadPoolExecutor(threads - 1, thread_name_prefix="laterank-maxsim") as pool:
        others: list[Future[None]] = []
        # The interpreter may be shutting down, or the system out of threads: those that there are will do.
        with suppress(RuntimeError):
            while len(others) < threads - 1:
                others.append(pool.submit(work))
        work()
        for other in others:
            other.result()


def _check_rows(rows: StoredRows, position: int | None = None, dim: int | None = None) -> None:
    """Refuse what cannot be scored: the query, or the document at a position."""
    if not isinstance(rows, QuantizedRows) and (not isinstance(rows, np.ndarray) or rows.dtype.kind != "f"):
        kind = f"an array of {rows.dtype}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise InputTypeError(f"{_name(position)} is {kind}, expected a float array of shape (tokens, dim)")
    if len(rows.shape) != 2 or 0 in rows.shape or (dim is not None and rows.shape[1] != dim):
        raise ShapeError(
            f"{_name(position)} has shape {rows.shape}, expected (at least 1, {'at least 1' if dim is None else dim})"
        )


def _name(position: int | None) -> str:
    return "query" if position is None else f"documents[{position}]"
