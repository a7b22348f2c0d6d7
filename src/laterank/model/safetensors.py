"""Single tensors out of a safetensors file, as float32.

The file is eight bytes of header length, a JSON header and raw numbers (the format is frozen by its specification), so
one tensor of a checkpoint of many gigabytes costs one seek. The ``safetensors`` package cannot give bfloat16 to numpy,
and would be a dependency for these few lines.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laterank.errors import ModelFormatError

__all__ = ["read_tensor", "tensor_names"]

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
MAX_HEADER_BYTES = 100_000_000


def tensor_names(path: Path) -> tuple[str, ...]:
    """Return the names of the tensors in a file.

    Raises:
        ModelFormatError: If the file is missing or no safetensors file.
    """
    header, _ = _read_header(path)
    return tuple(name for name in header if name != "__metadata__")


def read_tensor(path: Path, name: str) -> NDArray[np.float32]:
    """Read one tensor.

    Raises:
        ModelFormatError: If the file is broken, lacks the tensor, or keeps it as other than float numbers.
    """
    header, start = _read_header(path)
    if name not in header:
        raise ModelFormatError(
            f'{path} has no tensor "{name}"; it has {", ".join(tensor_names(path)) or "none"}'
        )
    try:
        entry: Mapping[str, Any] = header[name]
        dtype, shape, (begin, end) = str(entry["dtype"]), tuple(entry["shape"]), entry["data_offsets"]
        if min(*shape, begin, 0) < 0 or not begin <= end <= path.stat().st_size - start:
            raise ValueError(f"shape {shape} at {begin}-{end} of {path.stat().st_size - start} bytes")
        if dtype not in _DTYPES:
            raise ModelFormatError(
                f'{path}: tensor "{name}" is {dtype}, expected one of {", ".join(_DTYPES)}'
            )
        with path.open("rb") as file:
            file.seek(start + begin)
            raw = np.frombuffer(file.read(end - begin), dtype=_DTYPES[dtype])
        if dtype == "BF16":  # the upper half of a float32
            return (raw.astype("<u4") << 16).view("<f4").reshape(shape)
        return raw.astype(np.float32).reshape(shape)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFormatError(
            f'{path}: tensor "{name}" is broken ({error}); download or copy the file again'
        ) from error


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header and where the numbers start."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"a header of {length} bytes")
            header = dict(json.loads(file.read(length)))
    except (OSError, struct.error, TypeError, ValueError, RecursionError) as error:
        raise ModelFormatError(
            f"{path} is no readable safetensors file: {error}; download or copy it again"
        ) from error
    return header, 8 + length
