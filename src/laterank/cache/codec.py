"""A document's rows as bytes: INT8 with a scale per row, float16 or float32, behind a checksummed header.

Decoding gives the rows that are scored. Encoding those again gives the same bytes, so rows that went through the codec
once score the same for ever.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from laterank.errors import CacheError, InputError, ShapeError

__all__ = [
    "CODEC_VERSION",
    "RowStorage",
    "check_storage",
    "decode_many",
    "decode_rows",
    "describe_rows",
    "encode_rows",
    "storage_code",
]

Rows = NDArray[np.float32]

RowStorage = Literal["int8", "float16", "float32"]
"""How many bytes a number takes: 1 and 4 a row, 2, or 4."""

CODEC_VERSION = 1
"""Raise it when the same bytes come to mean other rows."""

HEADER = struct.Struct("<2sBBIII")
"""Magic, version, storage, rows, dim, checksum; little-endian, 16 bytes."""
MAGIC = b"LR"
LARGEST_INT8 = 127
SMALLEST_SCALED = np.float32(1e-30)
"""A row without a larger number is stored as zeros: its scale would lose digits near the end of float32's range."""
SCALE_BITS_CLEARED = np.uint32(0x7F)
"""7 bits off a scale leave 17, so that 127 times the scale is exact in float32 and gives the scale again."""


def check_storage(storage: str) -> RowStorage:
    """Return the storage if there is one of that name.

    Raises:
        InputError: If there is none.
    """
    if storage not in get_args(RowStorage):
        raise InputError(
            f"storage is {storage!r}, expected one of {', '.join(map(repr, get_args(RowStorage)))}"
        )
    return storage  # type: ignore[return-value]  # it is one of them


def storage_code(storage: RowStorage) -> int:
    """Return the number that stands for a storage in the header."""
    return get_args(RowStorage).index(storage)


def encode_rows(rows: Rows, storage: RowStorage, *, key: bytes) -> bytes:
    """Return rows as bytes.

    INT8 is symmetric: a row's largest number becomes 127 or -127, so no number moves by more than 0.4% of it.

    Args:
        rows: *Shape:* ``(document_tokens, dim)``
        storage: How to keep the numbers.
        key: What the bytes are stored under. The checksum covers it, so another document's bytes are recognised.

    Raises:
        ShapeError: If the rows are no matrix.
        InputError: If they hold NaN, infinity, or numbers too large for float16.
    """
    rows = np.asarray(rows, dtype=np.float32)
    if rows.ndim != 2:
        raise ShapeError(f"the rows have shape {rows.shape}, expected (document_tokens, dim)")
    if not np.isfinite(rows).all():
        raise InputError("the rows hold NaN or infinite numbers, which cannot be scored or kept")
    if storage == "int8":
        body = b"".join(array.tobytes() for array in _quantised(rows))
    elif storage == "float16":
        body = _halved(rows).tobytes()
    else:
        body = rows.astype("<f4").tobytes()
    count, dim = rows.shape
    head = HEADER.pack(MAGIC, CODEC_VERSION, storage_code(storage), count, dim, 0)
    return (
        HEADER.pack(MAGIC, CODEC_VERSION, storage_code(storage), count, dim, _checksum(key, head, body))
        + body
    )


def decode_rows(encoded: bytes, *, key: bytes) -> Rows:
    """Return the rows that ``encode_rows`` made these bytes of, as they are scored.

    Returns:
        Read-only float32. *Shape:* ``(document_tokens, dim)``

    Raises:
        CacheError: If the bytes are damaged, stored under another key, or of a newer format.
    """
    if len(encoded) < HEADER.size:
        raise CacheError(f"{len(encoded)} bytes are no rows, which take at least {HEADER.size}")
    magic, version, code, count, dim, checksum = HEADER.unpack_from(encoded)
    if magic != MAGIC or version != CODEC_VERSION or code >= len(get_args(RowStorage)):
        raise CacheError(f"these bytes are no rows of format {CODEC_VERSION}")
    body = memoryview(encoded)[HEADER.size :]
    if checksum != _checksum(key, HEADER.pack(magic, version, code, count, dim, 0), body):
        raise CacheError("the checksum is wrong: the bytes are damaged, or another document's")
    storage: RowStorage = get_args(RowStorage)[code]
    if len(body) != _body_bytes(storage, count, dim):
        raise CacheError(f"{len(body)} bytes are not {count} rows of {dim} numbers in {storage}")
    rows = _decoded(body, storage, count, dim)
    rows.flags.writeable = False
    return rows


def decode_many(encoded: Mapping[bytes, bytes]) -> tuple[dict[bytes, Rows], int]:
    """Return the rows of every key whose bytes are whole, and how many are not."""
    decoded: dict[bytes, Rows] = {}
    for key, body in encoded.items():
        try:
            decoded[key] = decode_rows(body, key=key)
        except (CacheError, TypeError):  # TypeError: another program wrote a number or a text
            continue
    return decoded, len(encoded) - len(decoded)


def describe_rows(head: bytes) -> str | None:
    """Say how rows are kept, from their first bytes: ``"int8 x 96"``; None for what is no rows of this format."""
    if not isinstance(head, bytes) or len(head) < HEADER.size:
        return None
    magic, version, code, _, dim, _ = HEADER.unpack_from(head)
    if magic != MAGIC or version != CODEC_VERSION or code >= len(get_args(RowStorage)):
        return None
    return f"{get_args(RowStorage)[code]} x {dim}"


def _decoded(body: memoryview, storage: RowStorage, count: int, dim: int) -> Rows:
    if storage != "int8":
        numbers = np.frombuffer(body, dtype="<f2" if storage == "float16" else "<f4")
        return numbers.reshape(count, dim).astype(np.float32)  # always a copy, which lets go of the bytes
    scales = np.frombuffer(body[: 4 * count], dtype="<f4")
    numbers = np.frombuffer(body[4 * count :], dtype=np.int8).reshape(count, dim)
    rows: Rows = np.multiply(numbers, scales[:, None], dtype=np.float32)
    return rows


def _quantised(rows: Rows) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Return each row's scale and its numbers in whole multiples of it.

    The scale is rounded up to 17 significant bits. Then 127 scales are exact in float32, and the largest number of a
    decoded row leads to the very same scale.
    """
    largest = np.abs(rows).max(axis=1, initial=0)
    largest[largest < SMALLEST_SCALED] = 0
    bits = (largest / np.float32(LARGEST_INT8)).view(np.uint32)
    scales = ((bits + SCALE_BITS_CLEARED) & ~SCALE_BITS_CLEARED).view(np.float32)
    divisors = np.where(scales == 0, np.float32(np.inf), scales)
    return scales.astype("<f4"), np.rint(rows / divisors[:, None]).astype(np.int8)


def _halved(rows: Rows) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        halved = rows.astype("<f2")
    if not np.isfinite(halved).all():
        raise InputError(
            f"a number of the rows is {np.abs(rows).max():g}, too large for float16; use float32"
        )
    return halved


def _body_bytes(storage: RowStorage, count: int, dim: int) -> int:
    if storage == "int8":
        return count * (4 + dim)
    return count * dim * (2 if storage == "float16" else 4)


def _checksum(key: bytes, head: bytes, body: bytes | memoryview) -> int:
    """Return CRC-32 over all three: several gigabytes a second, for damage and mix-ups, not for an attacker."""
    return zlib.crc32(body, zlib.crc32(head, zlib.crc32(key)))
