"""What a reranker needs of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Encoder", "EncoderWithWorkers"]

Rows = NDArray[np.float32]


class Encoder(Protocol):
    """What a reranker needs of an encoder; an encoder pool or a remote one can stand in."""

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
