"""What a reranker needs of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from laterank.errors import EncodingError

__all__ = ["Encoder", "EncoderWithWorkers", "checked_answers", "encoded_documents", "encoded_queries"]

Rows = NDArray[np.float32]

LONGEST_ROW = 1.01
"""Beyond it a row is no unit vector that float16 rounded, and scores leave their range."""


class Encoder(Protocol):
    """What a reranker needs of an encoder; an encoder pool or a remote one can stand in.

    Rows have unit length; shorter ones, such as means of several, will do. What else comes is an ``EncodingError``.
    """

    @property
    def name(self) -> str:
        """The model's name, for people."""

    @property
    def fingerprint(self) -> bytes:
        """A digest of everything that decides a document's rows."""

    @property
    def dim(self) -> int:
        """Numbers in a token embedding."""

    def encode_queries(self, texts: Sequence[str]) -> list[Rows]:
        """Encode queries, one array each. *Shape:* ``(query_tokens, dim)``"""

    def encode_documents(self, texts: Sequence[str]) -> list[Rows]:
        """Encode documents, one array each. *Shape:* ``(document_tokens, dim)``"""


@runtime_checkable
class EncoderWithWorkers(Protocol):
    """What an encoder has besides, if it lets other processes work."""

    def start_workers(self) -> None:
        """Start them, if they do not run."""

    def close(self) -> None:
        """End them, if they run."""


def encoded_queries(encoder: Encoder, texts: Sequence[str]) -> list[Rows]:
    """Encode queries and return what can be scored. *Shape:* ``(query_tokens, dim)`` each

    Raises:
        EncodingError: If the encoder gave something else, naming what.
    """
    return _checked(encoder.encode_queries(texts), encoder, "encode_queries", count=len(texts), least=1)


def encoded_documents(encoder: Encoder, texts: Sequence[str]) -> list[Rows]:
    """Encode documents and return what can be scored and kept. *Shape:* ``(document_tokens, dim)`` each

    Raises:
        EncodingError: If the encoder gave something else, naming what.
    """
    return _checked(encoder.encode_documents(texts), encoder, "encode_documents", count=len(texts), least=0)


def checked_answers(given: object, source: str, *, count: int, each: str) -> Sequence[Any]:
    """Return what an encoder's method gave, if that is an answer for each text.

    Raises:
        EncodingError: If it is something else, naming ``source``, and ``each`` as what was expected.
    """
    if not isinstance(given, (Sequence, np.ndarray)) or isinstance(given, (str, bytes)):
        raise EncodingError(
            f"{source} gave {type(given).__name__}, expected a list with {each} for each text"
        )
    if len(given) != count:
        raise EncodingError(f"{source} gave {len(given)} answers for {count} texts, expected {each} for each")
    return cast("Sequence[Any]", given)


def _checked(given: object, encoder: Encoder, method: str, *, count: int, least: int) -> list[Rows]:
    """Return one array for each text, as the protocol has it."""
    source, dim = f"{method}() of {type(encoder).__name__}", encoder.dim
    arrays = checked_answers(given, source, count=count, each="an array")
    for position, rows in enumerate(arrays):
        _check_rows(rows, f"{source} gave text {position}", dim=dim, least=least)
    return list(map(np.asarray, arrays))  # of a subclass such as a matrix, whose shapes are its own, too


def _check_rows(rows: object, who: str, *, dim: int, least: int) -> None:
    expected = f"expected a float array of shape ({'at least 1' if least else 'tokens'}, {dim})"
    if not isinstance(rows, np.ndarray):
        raise EncodingError(f"{who} a {type(rows).__name__}, {expected}")
    if rows.dtype.kind != "f" or rows.ndim != 2 or rows.shape[1] != dim or len(rows) < least:
        raise EncodingError(f"{who} an array of {rows.dtype} and shape {rows.shape}, {expected}")
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float32, casting="same_kind")
    longest = float(np.sqrt(squares.max(initial=0.0)))
    if not np.isfinite(longest):  # numpy's maximum passes NaN on
        raise EncodingError(f"{who} NaN or infinite numbers, expected rows of unit length")
    if longest > LONGEST_ROW:
        raise EncodingError(
            f"{who} a row of length {longest:.4g}, expected unit length: divide each row by its norm"
        )
