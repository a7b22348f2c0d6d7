"""The tables of a cache file and every statement over them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

__all__ = [
    "APPLICATION_ID",
    "FILE_FORMAT",
    "SCHEMA",
    "add",
    "clear",
    "evict",
    "give_back_space",
    "known",
    "read",
    "totals",
    "touch",
    "transaction",
]

APPLICATION_ID = 0x4C52_4B43
"""``LRKC`` in the file's header tells a cache from another program's database."""

FILE_FORMAT = 1
"""Raise it when an older laterank could not use the file any more."""

KEYS_AT_ONCE = 256
"""Keys in one query: SQLite may be built to take no more than 999."""

SCHEMA = (
    "CREATE TABLE entries (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, used INTEGER NOT NULL)",
    # Apart from the entries, so that noting a use does not write the document's rows again.
    "CREATE TABLE bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    "CREATE INDEX entries_by_use ON entries (used)",
    "CREATE TABLE totals (documents INTEGER NOT NULL, size INTEGER NOT NULL)",
    "INSERT INTO totals VALUES (0, 0)",
    # Counted in the same transaction as the change, so that no process and no kill can make the count wrong.
    """CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
        UPDATE totals SET documents = documents + 1, size = size + new.size; END""",
    """CREATE TRIGGER entry_removed AFTER DELETE ON entries BEGIN
        DELETE FROM bodies WHERE id = old.id;
        UPDATE totals SET documents = documents - 1, size = size - old.size; END""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FILE_FORMAT}",
)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all or nothing. Whoever holds the connection closes it on an error, which rolls back."""
    connection.execute(
        "BEGIN IMMEDIATE"
    )  # a read lock that becomes a write lock later can fail without waiting
    yield
    connection.execute("COMMIT")


def read(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the bodies of the keys that are there."""
    found: dict[bytes, bytes] = {}
    for chunk, marks in _chunks(keys):
        query = f"SELECT key, body FROM entries JOIN bodies USING (id) WHERE key IN ({marks})"
        found.update(connection.execute(query, chunk))
    return found


def known(connection: sqlite3.Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Return the keys that are there, without reading what they stand for."""
    found: set[bytes] = set()
    for chunk, marks in _chunks(keys):
        found.update(
            key for (key,) in connection.execute(f"SELECT key FROM entries WHERE key IN ({marks})", chunk)
        )
    return found


def add(connection: sqlite3.Connection, bodies: Mapping[bytes, bytes], *, used: int) -> None:
    """Put documents in, in place of what was there under their keys."""
    remove_by_key = "DELETE FROM entries WHERE key = ?"
    connection.executemany(remove_by_key, ((key,) for key in known(connection, list(bodies))))
    [(last,)] = connection.execute("SELECT coalesce(max(id), 0) FROM entries")
    numbered = list(enumerate(bodies.items(), start=last + 1))
    connection.executemany("INSERT INTO bodies VALUES (?, ?)", ((id_, body) for id_, (_, body) in numbered))
    connection.executemany(
        "INSERT INTO entries VALUES (?, ?, ?, ?)",
        ((id_, key, len(body), used) for id_, (key, body) in numbered),
    )


def touch(connection: sqlite3.Connection, uses: Mapping[bytes, int]) -> None:
    """Note when documents were last used; a later note of another process stays."""
    note = "UPDATE entries SET used = ? WHERE key = ? AND used < ?"
    connection.executemany(note, ((used, key, used) for key, used in uses.items()))


def evict(connection: sqlite3.Connection, max_bytes: int) -> int:
    """Drop the least recently used until the bodies fit, and return how many that were."""
    _, size = totals(connection)
    dropped: list[tuple[int]] = []
    if size > max_bytes:
        for id_, body_size in connection.execute("SELECT id, size FROM entries ORDER BY used, id"):
            dropped.append((id_,))
            size -= _whole(body_size, "a document's size")
            if size <= max_bytes:
                break
        connection.executemany("DELETE FROM entries WHERE id = ?", dropped)
    return len(dropped)


def clear(connection: sqlite3.Connection) -> None:
    """Drop every document."""
    connection.execute("DELETE FROM bodies")  # first and at once: the trigger would look for each
    connection.execute("DELETE FROM entries")


def totals(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the number of documents and the bytes of their bodies."""
    counted: tuple[object, object] | None = connection.execute(
        "SELECT documents, size FROM totals"
    ).fetchone()
    if counted is None:
        raise sqlite3.DatabaseError("its totals are gone")
    return _whole(counted[0], "its count of documents"), _whole(counted[1], "its total size")


def give_back_space(connection: sqlite3.Connection) -> None:
    """Make the file as small as what it holds, as far as no other process is reading it at this moment."""
    connection.executescript("PRAGMA incremental_vacuum")  # execute() would stop after one page
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _whole(number: object, name: str) -> int:
    """Return a number of the file's own, which damage may have made anything of."""
    if not isinstance(number, int):
        raise sqlite3.DatabaseError(f"{name} is {type(number).__name__}, expected a whole number")
    return number


def _chunks(keys: Sequence[bytes]) -> Iterator[tuple[Sequence[bytes], str]]:
    for start in range(0, len(keys), KEYS_AT_ONCE):
        chunk = keys[start : start + KEYS_AT_ONCE]
        yield chunk, ",".join("?" * len(chunk))
