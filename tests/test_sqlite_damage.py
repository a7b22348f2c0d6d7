"""A cache file whose pages or values were damaged is an error with a cure: never another exception, and never a hang."""

import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from laterank import CacheError, SqliteCache
from laterank.cache.maintenance import contents, verify

DOCUMENTS = {b"%0200d" % number: np.ones((1, 2), dtype=np.float32) for number in range(600)}
"""Long keys, so that some pages of entries hold fewer documents than are verified at once."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.sqlite"
    with SqliteCache(path) as cache:
        cache.put_many(DOCUMENTS)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def assert_damaged(path: Path, use: Callable[[SqliteCache], object]) -> None:
    with SqliteCache(path, memory_bytes=0) as cache, pytest.raises(CacheError, match="a damaged one"):
        use(cache)


@pytest.mark.parametrize("column", ["documents", "size"])
def test_totals_that_are_no_numbers(path: Path, column: str) -> None:
    """Evicting would calculate with them."""
    change(path, f"UPDATE totals SET {column} = x'00'")
    assert_damaged(path, SqliteCache.stats)
    assert_damaged(path, SqliteCache.prune)
    assert_damaged(path, contents)


def test_a_size_that_is_no_number(path: Path) -> None:
    """It cannot be known how much has to go."""
    change(path, "UPDATE entries SET size = x'00'")
    assert_damaged(path, lambda cache: cache.prune(0))


def test_a_use_at_no_time(path: Path) -> None:
    """What the cache holds can be told all the same."""
    change(path, "UPDATE entries SET used = 'yesterday'")
    with SqliteCache(path) as cache:
        assert contents(cache).documents == len(DOCUMENTS)


@pytest.mark.parametrize("key", ["'a text'", "1000000000000"])
def test_a_key_that_is_no_bytes(path: Path, key: str) -> None:
    """It is told of and deleted as a damaged document."""
    change(path, f"UPDATE entries SET key = {key} WHERE id = 7")
    with SqliteCache(path) as cache:
        assert len(verify(cache).damaged) == 1
        assert verify(cache, remove=True).whole
        assert verify(cache).documents == len(DOCUMENTS) - 1


def test_names_that_are_no_text(path: Path) -> None:
    """SQLite quotes them in its error, which sqlite3 then cannot decode."""
    change(
        path,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET name = CAST(x'a0' AS TEXT), sql = 'CREATE' WHERE name = 'bodies'",
    )
    with pytest.raises(CacheError, match="a damaged one"):
        SqliteCache(path)


def test_pages_that_are_mixed_up_end_a_verification(path: Path) -> None:
    """Documents come in an order in which going on from the last one would never end."""
    with closing(sqlite3.connect(path)) as connection:
        [(root,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entries'")
        [(size,)] = connection.execute("PRAGMA page_size")
    content = bytearray(path.read_bytes())
    start = (root - 1) * size
    kind, _, cells = struct.unpack_from(">BHH", content, start)
    assert (kind, cells > 3) == (5, True), "an inner page of a table, with some pages below it"
    places = [start + place for place in struct.unpack_from(f">{cells}H", content, start + 12)]
    below = [content[place : place + 4] for place in places]
    for place, page in zip(places, [*below[-3:], *below[:-3]], strict=True):
        content[place : place + 4] = page
    path.write_bytes(content)
    assert_damaged(path, verify)
