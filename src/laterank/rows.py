"""Token embeddings as caches keep them: float32, float16, or INT8 with a scale for each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from laterank.errors import InputTypeError, ShapeError

__all__ = ["QuantizedRows", "StoredRows", "as_float32"]


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedRows:
    """Rows in INT8, which are scored as they are; ``numpy.asarray`` gives them as float32.

    Attributes:
        numbers: *Shape:* ``(tokens, dim)``, int8
        scales: What one whole step of each row stands for. *Shape:* ``(tokens,)``, float32
    """

    numbers: NDArray[np.int8]
    scales: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check both arrays.

        Raises:
            InputTypeError: If one is no array, or of other numbers.
            ShapeError: If ``numbers`` is no matrix, or there is not one scale for each of its rows.
        """
        for name, kind in (("numbers", np.int8), ("scales", np.float32)):
            given = getattr(self, name)
            if not isinstance(given, np.ndarray) or given.dtype != kind:
                found = (
                    f"an array of {given.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
                )
                raise InputTypeError(f"{name} is {found}, expected an array of {np.dtype(kind)}")
        if self.numbers.ndim != 2:
            raise ShapeError(f"numbers has shape {self.numbers.shape}, expected (tokens, dim)")
        if self.scales.shape != (len(self.numbers),):
            raise ShapeError(
                f"scales has shape {self.scales.shape}, expected ({len(self.numbers)},): one for each row of numbers"
            )

    @classmethod
    def of_checked(cls, numbers: NDArray[np.int8], scales: NDArray[np.float32]) -> QuantizedRows:
        """Put arrays together that are known to fit, thousands of times a call. *Shapes:* as the attributes'"""
        made = object.__new__(cls)
        object.__setattr__(made, "numbers", numbers)
        object.__setattr__(made, "scales", scales)
        return made

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
