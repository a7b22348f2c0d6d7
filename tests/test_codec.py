"""Rows as bytes: what comes back, how far it is off, and that damage is noticed."""

import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from laterank import CacheError, InputError, maxsim
from laterank.cache.codec import HEADER, check_storage, decode_rows, encode_many, encode_rows
from laterank.errors import ShapeError
from laterank.rows import QuantizedRows, as_float32

STORAGES = ["int8", "float16", "float32"]
KEY = b"sixteen bytes..."

any_rows = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9),
    elements=st.floats(-60_000, 60_000, width=32),
)


def unit_rows(count: int, dim: int = 96, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def there_and_back(rows: np.ndarray, storage: str) -> np.ndarray:
    return as_float32(decode_rows(encode_rows(rows, storage, key=KEY), key=KEY))


@pytest.mark.parametrize("storage", STORAGES)
@settings(max_examples=300, deadline=None)
@given(any_rows)
@example(np.full((1, 3), 1e-44, dtype=np.float32))
@example(np.array([[1e-30, 0], [2e-29, 1e-31]], dtype=np.float32))
@example(np.full((2, 2), np.finfo(np.float32).smallest_subnormal))
def test_decoded_rows_encode_to_the_same_bytes(storage: str, rows: np.ndarray) -> None:
    """Once through the codec and the rows never change again, so a cold and a warm call give one score."""
    first = encode_rows(rows, storage, key=KEY)
    assert encode_rows(decode_rows(first, key=KEY), storage, key=KEY) == first


@settings(max_examples=200, deadline=None)
@given(any_rows)
def test_int8_moves_a_number_by_half_a_step_of_its_row(rows: np.ndarray) -> None:
    """A step is a 127th of the row's largest number."""
    step = np.abs(rows).max(axis=1, initial=0)[:, None] / 127
    assert (np.abs(there_and_back(rows, "int8") - rows) <= step * 0.501 + 1e-30).all()


def test_float32_keeps_every_bit_and_float16_eleven() -> None:
    """Checked against numpy's own conversion."""
    rows = unit_rows(50)
    np.testing.assert_array_equal(there_and_back(rows, "float32"), rows)
    for scale in (1, 1e-4, 1e-7):  # down to float16's subnormal numbers, and what is rounded to nothing
        small = rows * np.float32(scale)
        np.testing.assert_array_equal(
            there_and_back(small, "float16"), small.astype(np.float16).astype(np.float32)
        )


@pytest.mark.parametrize(("storage", "tolerance"), [("int8", 3e-3), ("float16", 3e-4), ("float32", 0)])
def test_scores_of_unit_rows_move_little(storage: str, tolerance: float) -> None:
    """The mean over the query's rows, for rows of random direction."""
    query, documents = unit_rows(32, seed=1), [unit_rows(80, seed=seed) for seed in range(2, 12)]
    exact = maxsim(query, documents) / 32
    stored = maxsim(query, [there_and_back(rows, storage) for rows in documents]) / 32
    assert np.abs(exact - stored).max() <= tolerance


@pytest.mark.parametrize(("storage", "size"), [("int8", 100 * 100), ("float16", 19200), ("float32", 38400)])
def test_the_size_is_the_one_promised(storage: str, size: int) -> None:
    """INT8 takes a byte a number and four a row."""
    assert len(encode_rows(unit_rows(100), storage, key=KEY)) == size + HEADER.size


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("shape", [(0, 96), (1, 1), (8192, 128)])
def test_any_number_of_rows_comes_back(storage: str, shape: tuple[int, int]) -> None:
    """None, one, or a whole book; read-only, over the very bytes, so that nothing is copied."""
    rows = unit_rows(*shape) if shape[0] else np.empty(shape, np.float32)
    encoded = encode_rows(rows, storage, key=KEY)
    found = decode_rows(encoded, key=KEY)
    assert found.shape == shape
    for array in (found.numbers, found.scales) if isinstance(found, QuantizedRows) else (found,):
        assert array.base is encoded
        assert not array.flags.writeable


@settings(max_examples=60, deadline=None)
@given(st.lists(any_rows, max_size=40), st.sampled_from(STORAGES))
def test_documents_encoded_together_give_the_same_bytes_as_alone(
    documents: list[np.ndarray], storage: str
) -> None:
    """However many there are, and whatever their lengths and sizes."""
    by_key = {bytes([number]): rows for number, rows in enumerate(documents)}
    together = encode_many(by_key, storage)
    assert together == {key: encode_rows(rows, storage, key=key) for key, rows in by_key.items()}


@pytest.mark.parametrize("storage", STORAGES)
def test_rows_are_scored_in_the_form_that_they_are_stored_in(storage: str) -> None:
    """INT8 stays INT8 and float16 stays float16, so that nothing is widened before it is needed."""
    found = decode_rows(encode_rows(unit_rows(3), storage, key=KEY), key=KEY)
    numbers = found.numbers if isinstance(found, QuantizedRows) else found
    assert numbers.dtype == np.dtype(storage)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_changed_byte_is_noticed(storage: str) -> None:
    """Whichever it is, and wherever the bytes end too early or too late."""
    encoded = encode_rows(unit_rows(3, 5), storage, key=KEY)
    for place in range(len(encoded)):
        damaged = bytearray(encoded)
        damaged[place] ^= 0x10
        with pytest.raises(CacheError):
            decode_rows(bytes(damaged), key=KEY)
    for wrong in (encoded[:-1], encoded + b"\0", encoded[:7], b"", bytes(len(encoded))):
        with pytest.raises(CacheError):
            decode_rows(wrong, key=KEY)


def test_rows_under_another_key_are_noticed() -> None:
    """A mix-up of two documents would give each the other's score."""
    with pytest.raises(CacheError, match="another document"):
        decode_rows(encode_rows(unit_rows(2), "int8", key=b"mars"), key=b"venus")


def test_the_bytes_are_these() -> None:
    """The format is a promise to files on disk: a change needs a new CODEC_VERSION."""
    rows = np.array([[1, -0.5, 0], [0, 0, 0]], dtype=np.float32)
    head, body = "4c5201000200000003000000", "8002013c000000007fc100000000"
    checksum = zlib.crc32(b"k" + bytes.fromhex(head + "00000000" + body))
    expected = bytes.fromhex(head) + checksum.to_bytes(4, "little") + bytes.fromhex(body)
    assert encode_rows(rows, "int8", key=b"k") == expected


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_cannot_be_scored_are_refused(storage: str, wrong: float) -> None:
    """They would spoil every ranking that meets them, for as long as the file lives."""
    with pytest.raises(InputError, match="NaN or infinite"):
        encode_rows(np.full((1, 2), wrong, np.float32), storage, key=KEY)


def test_what_does_not_fit_is_refused() -> None:
    """Numbers beyond float16, rows that are no matrix, a storage that does not exist."""
    with pytest.raises(InputError, match="too large for float16"):
        encode_rows(np.full((1, 2), 1e6, np.float32), "float16", key=KEY)
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        encode_rows(np.ones(3, np.float32), "int8", key=KEY)
    with pytest.raises(InputError, match="'int4', expected one of 'int8'"):
        check_storage("int4")
