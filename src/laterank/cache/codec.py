"""A document's rows as bytes: INT8 with a scale per row, float16 or float32, behind a checksummed header.

Decoding gives the rows that are scored, in the form that they are stored in. Encoding those again gives the same bytes, so
rows that went through the codec once score the same for ever.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from laterank.errors import CacheError, InputError, ShapeError
from laterank.rows import QuantizedRows, StoredRows, as_float32
from laterank.scoring.graphs import HALVING_GRAPH
from laterank.scoring.sessions import run

__all__ = [
    "CODEC_VERSION",
    "RowStorage",
    "check_storage",
    "decode_many",
    "decode_rows",
    "describe_rows",
    "encode_many",
    "encode_rows",
    "storage_code",
    "stored_rows",
]

Rows = NDArray[np.float32]

RowStorage = Literal["int8", "float16", "float32"]
"""How many bytes a number takes: 1 and 4 a row, 2, or 4."""
STORAGES: tuple[RowStorage, ...] = get_args(RowStorage)
"""A storage's place is its number in the header."""

CODEC_VERSION = 1
"""Raise it when the same bytes come to mean other rows."""

HEADER = struct.Struct("<2sBBIII")
"""Magic, version, storage, rows, dim, checksum; little-endian, 16 bytes."""
CHECKSUM = struct.Struct("<I")
HEAD_SIZE = HEADER.size - CHECKSUM.size
NO_CHECKSUM = bytes(CHECKSUM.size)
"""What stands in the checksum's place while it is calculated."""
MAGIC = b"LR"
FLOAT32, FLOAT16, INT8 = np.dtype("<f4"), np.dtype("<f2"), np.dtype(np.int8)
"""Made once: numpy takes as long to read a name as to make an array."""
LARGEST_INT8 = 127
HALF_EXPONENT = np.uint16(0x7C00)
"""The bits of a float16's exponent: all are set in NaN and infinity alone."""
SMALLEST_SCALED = np.float32(1e-30)
"""A row without a larger number is stored as zeros: its scale would lose digits near the end of float32's range."""
DOCUMENTS_AT_ONCE = 16
"""Documents that are rounded together: their rows stay in the processor's cache."""
SCALE_BITS_CLEARED = np.uint32(0x7F)
"""7 bits off a scale leave 17, so that 127 times the scale is exact in float32 and gives the scale again."""


def check_storage(storage: str) -> RowStorage:
    """Return the storage if there is one of that name.

    Raises:
        InputError: If there is none.
    """
    if storage not in STORAGES:
        raise InputError(f"storage is {storage!r}, expected one of {', '.join(map(repr, STORAGES))}")
    return storage


def storage_code(storage: RowStorage) -> int:
    """Return the number that stands for a storage in the header."""
    return STORAGES.index(storage)


def encode_rows(rows: StoredRows, storage: RowStorage, *, key: bytes) -> bytes:
    """Return one document's rows as bytes; see ``encode_many``."""
    return encode_many({key: rows}, storage)[key]


def encode_many(documents: Mapping[bytes, StoredRows], storage: RowStorage) -> dict[bytes, bytes]:
    """Return documents' rows as bytes.

    INT8 is symmetric: a row's largest number becomes 127 or -127, so no number moves by more than 0.4% of it.

    Args:
        documents: Rows under the key that the bytes are stored under. The checksum covers it, so another document's bytes
            are recognised. *Shape:* ``(document_tokens, dim)`` each
        storage: How to keep the numbers.

    Raises:
        ShapeError: If the rows are no matrix.
        InputError: If they hold NaN, infinity, or numbers too large for float16.
    """
    encoded: dict[bytes, bytes] = {}
    by_dim: dict[int, dict[bytes, Rows]] = {}
    for key, stored in documents.items():
        rows = as_float32(stored)
        if rows.ndim != 2:
            raise ShapeError(f"the rows have shape {rows.shape}, expected (document_tokens, dim)")
        by_dim.setdefault(rows.shape[1], {})[key] = rows
    for dim, rows_of in by_dim.items():
        bodies = _bodies(list(rows_of.values()), storage)
        for (key, rows), body in zip(rows_of.items(), bodies, strict=True):
            head = HEADER.pack(MAGIC, CODEC_VERSION, storage_code(storage), len(rows), dim, 0)[:HEAD_SIZE]
            encoded[key] = head + CHECKSUM.pack(_checksum(key, head, body)) + body
    return encoded


def decode_rows(encoded: bytes, *, key: bytes) -> StoredRows:
    """Return the rows that ``encode_rows`` made these bytes of, as they are scored.

    Returns:
        Read-only, over the bytes themselves. *Shape:* ``(document_tokens, dim)``

    Raises:
        CacheError: If the bytes are damaged, stored under another key, or of a newer format.
    """
    if len(encoded) < HEADER.size:
        raise CacheError(f"{len(encoded)} bytes are no rows, which take at least {HEADER.size}")
    magic, version, code, count, dim, checksum = HEADER.unpack_from(encoded)
    if magic != MAGIC or version != CODEC_VERSION or code >= len(STORAGES):
        raise CacheError(f"these bytes are no rows of format {CODEC_VERSION}")
    body = memoryview(encoded)[HEADER.size :]
    if checksum != _checksum(key, encoded[:HEAD_SIZE], body):
        raise CacheError("the checksum is wrong: the bytes are damaged, or another document's")
    storage = STORAGES[code]
    if len(body) != _body_bytes(storage, count, dim):
        raise CacheError(f"{len(body)} bytes are not {count} rows of {dim} numbers in {storage}")
    return _rows_in(encoded, storage, count, dim)


def stored_rows(encoded: bytes) -> StoredRows:
    """Return the rows over bytes that are known to be whole, such as ``encode_many`` just made. See ``decode_rows``."""
    _, _, code, count, dim, _ = HEADER.unpack_from(encoded)
    return _rows_in(encoded, STORAGES[code], count, dim)


def decode_many(encoded: Mapping[bytes, bytes]) -> tuple[dict[bytes, StoredRows], int]:
    """Return the rows of every key whose bytes are whole, and how many are not."""
    decoded: dict[bytes, StoredRows] = {}
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


def _bodies(documents: Sequence[Rows], storage: RowStorage) -> list[bytes]:
    """Return each document's numbers as bytes; the rows of all are rounded at once, some megabytes at a time."""
    bodies: list[bytes] = []
    for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
        piece = documents[start : start + DOCUMENTS_AT_ONCE]
        rows = np.concatenate(piece) if len(piece) > 1 else piece[0]
        if not np.isfinite(rows).all():
            raise InputError("the rows hold NaN or infinite numbers, which cannot be scored or kept")
        ends = np.cumsum([len(document) for document in piece]).tolist()
        ranges = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
        if storage == "int8":
            scales, numbers = _quantised(rows)
            bodies += [scales[own].tobytes() + numbers[own].tobytes() for own in ranges]
        else:
            numbers_kept = _halved(rows) if storage == "float16" else rows.astype(FLOAT32, copy=False)
            bodies += [numbers_kept[own].tobytes() for own in ranges]
    return bodies


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
    return scales.astype(FLOAT32), np.rint(rows / divisors[:, None]).astype(INT8)


def _halved(rows: Rows) -> NDArray[np.float16]:
    [halved] = run(HALVING_GRAPH, {"rows": np.ascontiguousarray(rows, dtype=np.float32)})
    if (halved.view(np.uint16) & HALF_EXPONENT == HALF_EXPONENT).any():  # isfinite() takes ten times as long
        raise InputError(
            f"a number of the rows is {np.abs(rows).max():g}, too large for float16; use float32"
        )
    return np.asarray(halved, dtype=FLOAT16)


def _rows_in(encoded: bytes, storage: RowStorage, count: int, dim: int) -> StoredRows:
    if storage == "int8":
        scales = np.ndarray((count,), FLOAT32, encoded, HEADER.size)
        numbers = np.ndarray((count, dim), INT8, encoded, HEADER.size + 4 * count)
        return QuantizedRows.of_checked(numbers, scales)
    rows: Rows = np.ndarray((count, dim), FLOAT16 if storage == "float16" else FLOAT32, encoded, HEADER.size)
    return rows


def _body_bytes(storage: RowStorage, count: int, dim: int) -> int:
    if storage == "int8":
        return count * (4 + dim)
    return count * dim * (2 if storage == "float16" else 4)


def _checksum(key: bytes, head: bytes, body: bytes | memoryview) -> int:
    """Return CRC-32 over all three: several gigabytes a second, for damage and mix-ups, not for an attacker."""
    return zlib.crc32(body, zlib.crc32(key + head + NO_CHECKSUM))
