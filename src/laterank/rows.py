"""Token embeddings as caches keep them: float32, float16, or INT8 with a scale for each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["QuantizedRows", "StoredRows", "as_float32"]


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedRows:
    """Rows in INT8, which are scored as they are; ``numpy.asarray`` gives them as float32.

    Attributes:
        numbers: *Shape:* ``(tokens, dim)``, int8, C-contiguous
        scales: What one whole step of each row stands for. *Shape:* ``(tokens,)``, float32
    """

    numbers: NDArray[np.int8]
    scales: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """``(tokens, dim)``."""
        return self.numbers.shape

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.numbers.nbytes + self.scales.nbytes

    def __len__(self) -> int:
        return len(self.numbers)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001  # numpy's
        rows = np.multiply(self.numbers, self.scales[:, None], dtype=np.float32)
        return rows if dtype is None else rows.astype(dtype, copy=False)


StoredRows: TypeAlias = NDArray[np.float32] | NDArray[np.float16] | QuantizedRows
"""One document's rows in any of the forms that are scored."""


def as_float32(rows: StoredRows) -> NDArray[np.float32]:
    """Return rows as numbers to calculate with. *Shape:* ``(tokens, dim)``"""
    return np.asarray(rows, dtype=np.float32)
