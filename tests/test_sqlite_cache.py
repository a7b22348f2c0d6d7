"""The cache on disk: what it keeps, what it forgets, and what it does when the file is not as it should be."""

import copy
import logging
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laterank import CacheError, DocumentCache, InputError, InputTypeError, SqliteCache
from laterank.cache import recency
from laterank.cache.codec import decode_rows, encode_rows
from laterank.cache.maintenance import forget_unused
from laterank.cache.sqlite_opening import out_of_use
from laterank.cache.sqlite_table import APPLICATION_ID
from laterank.rows import QuantizedRows

DIM = 4
BODY = {length: 16 + length * (4 + DIM) for length in range(1, 30)}


def rows(length: int, value: float = 1.0) -> np.ndarray:
    return np.full((length, DIM), value, dtype=np.float32)


def there(cache: SqliteCache, *keys: bytes) -> list[bool]:
    return [found is not None for found in cache.get_many(keys)]


def database(path: Path) -> sqlite3.Connection:
    """Open the file behind the cache's back."""
    return sqlite3.connect(path, isolation_level=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.sqlite"


@pytest.fixture
def cache(path: Path) -> Iterator[SqliteCache]:
    """Return a cache that must read from disk what it knows."""
    with SqliteCache(path, memory_bytes=0) as opened:
        yield opened


# --- what is kept ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory_bytes", [0, 10**6])
def test_what_is_put_comes_back(path: Path, memory_bytes: int) -> None:
    """Known keys give their rows, unknown ones None, in the order asked; the empty key is a key."""
    cache = SqliteCache(path, memory_bytes=memory_bytes)
    cache.put_many({b"a": rows(2, 1), b"": rows(3, 2), b"none": rows(1)[:0]})
    found = cache.get_many([b"", b"x", b"a", b"", b"none"])
    shapes = [None if one is None else one.shape for one in found]
    assert shapes == [(3, DIM), None, (2, DIM), (3, DIM), (0, DIM)]
    stats = cache.stats()
    assert (stats.documents, stats.hits, stats.misses) == (3, 4, 1)
    assert stats.size_bytes == BODY[2] + BODY[3] + 16
    assert len(cache) == 3
    cache.close()


@pytest.mark.parametrize("storage", ["int8", "float16", "float32"])
def test_what_put_returns_is_what_every_get_gives(path: Path, storage: str) -> None:
    """From memory, from disk and in the next process: to the last bit."""
    document = np.random.default_rng(0).standard_normal((7, DIM)).astype(np.float32)
    with SqliteCache(path, storage=storage) as cache:
        kept = cache.put_many({b"a": document})[b"a"]
        np.testing.assert_array_equal(cache.get_many([b"a"])[0], kept)
    with SqliteCache(path, storage=storage) as again:
        for _ in range(2):
            np.testing.assert_array_equal(again.get_many([b"a"])[0], kept)
    np.testing.assert_array_equal(kept, decode_rows(encode_rows(document, storage, key=b""), key=b""))
    numbers = kept.numbers if isinstance(kept, QuantizedRows) else kept
    assert not numbers.flags.writeable


def test_storages_are_kept_apart(path: Path) -> None:
    """Who asks for float32 never gets rows that were rounded to INT8, and nobody's rows are replaced."""
    document = np.random.default_rng(0).standard_normal((7, DIM)).astype(np.float32)
    with SqliteCache(path) as small, SqliteCache(path, storage="float32") as exact:
        small.put_many({b"a": document})
        assert exact.get_many([b"a"]) == [None]
        exact.put_many({b"a": document})
        np.testing.assert_array_equal(exact.get_many([b"a"])[0], document)
        assert len(small) == len(exact) == 2


def test_a_document_that_is_put_again_takes_the_older_ones_place(cache: SqliteCache) -> None:
    """Once, with the new rows, and counted once."""
    for value in (1, 2):
        cache.put_many({b"a": rows(value, value)})
    [found] = cache.get_many([b"a"])
    assert found is not None
    assert found.shape == (2, DIM)
    assert (len(cache), cache.stats().size_bytes) == (1, BODY[2])


def test_many_documents_at_once(cache: SqliteCache) -> None:
    """More keys than SQLite takes in one statement, and a document of a megabyte among them."""
    documents = {str(number).encode(): rows(1 + number % 5, number) for number in range(3000)}
    documents[b"huge"] = rows(300_000)
    cache.put_many(documents)
    found = cache.get_many([*documents, b"unknown"])
    assert found.pop() is None
    for (key, document), one in zip(documents.items(), found, strict=True):
        np.testing.assert_allclose(one, document, rtol=1e-4, err_msg=repr(key))
    assert cache.contains_many([b"2999", b"unknown", b"huge"]) == [True, False, True]


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.one_of(st.binary(max_size=40), st.text().map(str.encode)), st.integers(0, 9), max_size=30
    )
)
def test_any_bytes_are_a_key(tmp_path_factory: pytest.TempPathFactory, lengths: dict[bytes, int]) -> None:
    """Empty, long, not ASCII, one the beginning of another: each stands for its own rows."""
    documents = {key: np.full((length, DIM), length + 1, np.float32) for key, length in lengths.items()}
    with SqliteCache(tmp_path_factory.mktemp("keys") / "rows", memory_bytes=0) as cache:
        cache.put_many(documents)
        for key, found in zip(documents, cache.get_many(list(documents)), strict=True):
            np.testing.assert_allclose(found, documents[key], rtol=1e-4)
        assert cache.contains_many([*documents, b"another key altogether" * 3]) == [True] * len(documents) + [
            False
        ]


def test_memory_is_asked_before_the_disk(path: Path) -> None:
    """Rows that are at hand are neither read nor decoded again."""
    with SqliteCache(path) as cache:
        cache.put_many({b"a": rows(2)})
        [first], [second] = cache.get_many([b"a"]), cache.get_many([b"a"])
        assert first is second


def test_missing_folders_are_made_and_the_home_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path may name folders that are not there yet, ``~`` among them, and does not move with the process."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with SqliteCache("~/what/a ünïcode #path?/100%/rows") as cache:
        assert cache.path == tmp_path / "what/a ünïcode #path?/100%/rows"
        assert cache.path.is_file()
    monkeypatch.chdir(tmp_path)
    with SqliteCache("here.sqlite") as cache:
        monkeypatch.chdir("/")
        cache.put_many({b"a": rows(1)})
        assert there(cache, b"a") == [True]
    assert (tmp_path / "here.sqlite").is_file()


# --- what is forgotten ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory_bytes", [0, 10**6])
def test_the_least_recently_used_goes_first(path: Path, memory_bytes: int) -> None:
    """A look-up keeps a document alive, from the disk or from memory."""
    with SqliteCache(path, max_bytes=3 * BODY[2], memory_bytes=memory_bytes) as cache:
        for key in (b"a", b"b", b"c"):
            cache.put_many({key: rows(2)})
        cache.get_many([b"a"])
        assert cache.contains_many([b"b"]) == [True]
        cache.put_many({b"d": rows(2)})
        assert cache.contains_many([b"a", b"b", b"c", b"d"]) == [True, True, False, True]
        assert cache.stats().evictions == 1


def test_uses_are_remembered_across_a_restart(path: Path) -> None:
    """Uses that were only noted in memory are written down when the cache is closed."""
    with SqliteCache(path) as cache:
        for key in (b"a", b"b"):
            cache.put_many({key: rows(2)})
    with SqliteCache(path) as reader:
        reader.get_many([b"a"])
    with SqliteCache(path, max_bytes=2 * BODY[2]) as writer:
        writer.put_many({b"c": rows(2)})
        assert writer.contains_many([b"a", b"b", b"c"]) == [True, False, True]


def test_reading_writes_only_now_and_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A use is noted in memory; only when many have gathered are they written."""
    monkeypatch.setattr(recency, "USES_AT_ONCE", 10)
    with SqliteCache(path, memory_bytes=0) as cache:
        cache.put_many({bytes([number]): rows(1) for number in range(20)})
        watcher = database(path)
        [before] = watcher.execute("PRAGMA data_version")
        cache.get_many([bytes([number]) for number in range(9)] * 2)
        assert watcher.execute("PRAGMA data_version").fetchall() == [before]
        cache.get_many([bytes([number]) for number in range(10)])
        assert watcher.execute("PRAGMA data_version").fetchall() != [before]
        watcher.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock of one number, by which uses wait to be written."""
    seconds = [1000.0]
    monkeypatch.setattr(recency, "monotonic", lambda: seconds[0])
    return seconds


def aged(path: Path) -> sqlite3.Connection:
    """Make every use of a file look long past."""
    connection = database(path)
    connection.execute("UPDATE entries SET used = 1")
    return connection


def unwritten(connection: sqlite3.Connection) -> int:
    """Count the documents that still look unused."""
    [(count,)] = connection.execute("SELECT count(*) FROM entries WHERE used = 1")
    return count


def test_documents_in_use_outlive_who_forgets_the_unused(path: Path, clock: list[float]) -> None:
    """A service that only reads, from memory even, writes down what it uses within seconds, for others to go by."""
    with SqliteCache(path) as service, SqliteCache(path) as other:
        service.put_many({b"a": rows(1), b"b": rows(1)})
        with closing(aged(path)) as watcher:
            [before] = watcher.execute("PRAGMA data_version")
            for seconds in (0, 5, 4.9):
                clock[0] += seconds
                assert there(service, b"a") == [True]
            assert watcher.execute("PRAGMA data_version").fetchall() == [before]
        clock[0] += 0.1
        there(service, b"a")
        assert forget_unused(other, days=1) == 1
        assert keys_in(path) == [(b"a",)]


def test_uses_wait_for_a_lock_to_go(path: Path, clock: list[float]) -> None:
    """The look-up does not wait, and the next time that they are due they are written."""
    with SqliteCache(path) as cache:
        cache.put_many({b"a": rows(1), b"b": rows(1)})
        with closing(aged(path)) as other:
            there(cache, b"a")
            clock[0] += 10
            other.execute("BEGIN IMMEDIATE")
            assert there(cache, b"b") == [True]
            other.execute("ROLLBACK")
            clock[0] += 9
            there(cache, b"x")
            assert unwritten(other) == 2
            clock[0] += 1
            there(cache, b"x")
            assert unwritten(other) == 0


def test_uses_that_can_never_be_written_do_not_pile_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a read-only file, for one."""
    monkeypatch.setattr(recency, "USES_AT_ONCE", 10)
    with SqliteCache(path) as cache, closing(database(path)) as other:
        cache.put_many({bytes([number]): rows(1) for number in range(50)})
        other.execute("BEGIN IMMEDIATE")
        for number in range(50):
            there(cache, bytes([number]))
        assert cache._recency.pending <= 10


@pytest.mark.parametrize("becomes", ["nothing", "a file", "damaged"])
def test_uses_that_cannot_be_written_fail_no_look_up(
    tmp_path: Path, clock: list[float], becomes: str
) -> None:
    """What is in memory is given, whatever became of the file, and a deleted one is not made anew for the uses' sake."""
    folder = tmp_path / "folder"
    with SqliteCache(path := folder / "rows.sqlite") as cache:
        cache.put_many({b"a": rows(1)})
        there(cache, b"a")
        shutil.rmtree(folder)
        if becomes == "a file":
            folder.touch()
        elif becomes == "damaged":
            folder.mkdir()
            path.write_bytes(b"dear diary " * 1000)
        clock[0] += 10
        assert there(cache, b"a") == [True]
        assert folder.is_dir() == (becomes == "damaged")


def test_a_document_larger_than_the_cache_is_not_kept(path: Path) -> None:
    """It does not push everything else out either."""
    with SqliteCache(path, max_bytes=BODY[4], memory_bytes=0) as cache:
        cache.put_many({b"a": rows(2)})
        kept = cache.put_many({b"huge": rows(29)})
        assert kept[b"huge"].shape == (29, DIM)
        assert there(cache, b"a", b"huge") == [True, False]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 20)), max_size=4)),
        max_size=25,
    ),
    st.integers(100, 900),
)
def test_eviction_follows_the_definition(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[bool, list[tuple[int, int]]]], max_bytes: int
) -> None:
    """A list in order of use, cut at its old end, tells what must be there after every put and get."""
    order: dict[bytes, int] = {}
    with SqliteCache(tmp_path_factory.mktemp("lru") / "rows", max_bytes=max_bytes, memory_bytes=0) as cache:
        for is_put, documents in calls:
            batch = {bytes([key]): rows(length) for key, length in documents}
            if is_put:
                cache.put_many(batch)
                fitting = {key: BODY[len(one)] for key, one in batch.items() if BODY[len(one)] <= max_bytes}
                order = {key: size for key, size in order.items() if key not in fitting} | fitting
                while sum(order.values()) > max_bytes:
                    order.pop(next(iter(order)))
            else:  # one at a time, as documents of one look-up are used at the same time
                for key in batch:
                    assert there(cache, key) == [key in order]
                    if key in order:
                        order[key] = order.pop(key)
            assert set(order) == {key for [key] in keys_in(cache.path)}
            stats = cache.stats()
            assert (stats.documents, stats.size_bytes) == (len(order), sum(order.values()))
            assert stats.size_bytes <= max_bytes


def keys_in(path: Path) -> list[tuple[bytes]]:
    connection = database(path)
    found = connection.execute("SELECT substr(key, 1, length(key) - 2) FROM entries").fetchall()
    connection.close()
    return found


def size_on_disk(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


@pytest.mark.parametrize(
    ("lengths", "dim", "most"),
    [
        ([4] * 8000, 48, 1.6),  # some 100 bytes each on top of 224
        ([82] * 200, 96, 2.1),  # half of each page is empty
        (list(range(20, 220)), 96, 1.5),
    ],
)
def test_the_file_is_not_much_larger_than_its_rows(
    path: Path, lengths: list[int], dim: int, most: float
) -> None:
    """As documented: by keys, and by what stays empty of pages."""
    with SqliteCache(path, memory_bytes=0) as cache:
        documents = {str(number).encode(): np.ones((n, dim), np.float32) for number, n in enumerate(lengths)}
        cache.put_many(documents)
        size = cache.stats().size_bytes
    assert 1 < size_on_disk(path) / size < most


def test_clearing_and_pruning_make_the_file_small(path: Path) -> None:
    """The bytes go back to the disk, and the counts are right afterwards."""
    with SqliteCache(path, storage="float32", memory_bytes=0) as cache:
        for start in range(0, 400, 100):
            cache.put_many({str(n).encode(): rows(1000, n) for n in range(start, start + 100)})
        full = size_on_disk(path)
        assert full > 400 * 16_000
        assert cache.prune(100 * 16_016) == 300
        assert len(cache) == 100
        assert there(cache, b"299", b"300") == [False, True]
        assert size_on_disk(path) < full / 3
        cache.clear()
        assert (len(cache), cache.stats().size_bytes) == (0, 0)
        assert size_on_disk(path) < full / 20
        assert cache.prune() == 0
        cache.put_many({b"a": rows(1)})
        assert there(cache, b"a") == [True]


def test_clearing_empties_the_memory_too(path: Path) -> None:
    """Nothing is left that could be found."""
    with SqliteCache(path) as cache:
        cache.put_many({b"a": rows(1)})
        cache.clear()
        assert there(cache, b"a") == [False]


# --- files that are not as they should be ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE bodies SET body = zeroblob(length(body)) WHERE id = 1",
        "UPDATE bodies SET body = (SELECT body FROM bodies WHERE id = 2) WHERE id = 1",
        "UPDATE bodies SET body = substr(body, 1, 20) WHERE id = 1",
        "UPDATE bodies SET body = 7 WHERE id = 1",
        "UPDATE bodies SET body = 'text' WHERE id = 1",
        "DELETE FROM bodies WHERE id = 1",
    ],
)
def test_a_damaged_document_is_a_miss_and_is_replaced(
    cache: SqliteCache, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Zeros, another document's rows, half a document, another type, nothing: none of it is ever scored."""
    cache.put_many({b"a": rows(2, 1), b"b": rows(2, 2)})
    connection = database(cache.path)
    connection.execute(damage)
    connection.close()
    with caplog.at_level(logging.WARNING, logger="laterank"):
        assert there(cache, b"a", b"b") == [False, True]
    assert damage.startswith("DELETE") or "1 of 2 documents are damaged" in caplog.text
    cache.put_many({b"a": rows(2, 1)})
    np.testing.assert_allclose(cache.get_many([b"a"])[0], rows(2, 1), rtol=1e-4)
    assert (len(cache), cache.stats().size_bytes) == (2, 2 * BODY[2])


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """The error names the file and the cure, and the file stays as it was."""
    for content in (b"dear diary " * 10, b"dear diary " * 10_000, b"x"):
        path.write_bytes(content)
        with pytest.raises(
            CacheError, match=r"rows\.sqlite is no cache, or a damaged one .* delete it.*-wal"
        ):
            SqliteCache(path)
        assert path.read_bytes() == content


def test_an_empty_file_becomes_a_cache(path: Path) -> None:
    """As ``tempfile`` makes one."""
    path.touch()
    with SqliteCache(path) as cache:
        assert len(cache) == 0


def test_another_programs_database_is_left_alone(path: Path) -> None:
    """Not a byte of it changes, its journal mode included."""
    connection = database(path)
    connection.execute("CREATE TABLE letters (text)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CacheError, match="database of another program"):
        SqliteCache(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("version", "word"), [(99, "a newer"), (0, "an older")])
def test_a_file_of_another_format_is_refused(path: Path, version: int, word: str) -> None:
    """Rather than misread, or spoilt for the laterank that made it."""
    SqliteCache(path).close()
    connection = database(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(
        CacheError, match=f"has the format {version}, and this laterank reads 1: it was made by {word}"
    ):
        SqliteCache(path)


def test_a_file_without_its_totals_is_damaged(path: Path) -> None:
    """Whatever became of them."""
    with SqliteCache(path) as cache:
        cache.put_many({b"key": rows(3)})
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM totals")
        connection.commit()
    with SqliteCache(path) as cache, pytest.raises(CacheError, match="a damaged one"):
        cache.stats()


def test_a_file_damaged_while_in_use_says_so(path: Path) -> None:
    """Overwritten pages are a CacheError with the cure, and nothing is deleted."""
    with SqliteCache(path, memory_bytes=0) as cache:
        cache.put_many({str(n).encode(): rows(5, n) for n in range(2000)})
    content = path.read_bytes()
    path.write_bytes(content[:20_000] + b"\x55" * (len(content) - 20_000))
    cache = SqliteCache(path, memory_bytes=0)
    with pytest.raises(CacheError, match=r"damaged .* delete it"):
        cache.get_many([str(n).encode() for n in range(2000)])
    with pytest.raises(CacheError, match=r"damaged .* delete it"):
        cache.put_many({b"new": rows(2)})
    assert path.stat().st_size >= len(content)
    cache.close()


def test_a_file_deleted_while_in_use_is_made_again(path: Path) -> None:
    """The cure that the errors name works without a restart."""
    with SqliteCache(path, memory_bytes=0) as cache:
        cache.put_many({b"a": rows(1)})
        for file in path.parent.glob("rows.sqlite*"):
            file.unlink()
        assert there(cache, b"a") == [False]
        cache.put_many({b"a": rows(1)})
        assert there(cache, b"a") == [True]
        assert path.is_file()


def test_closing_makes_no_deleted_file_again(tmp_path: Path) -> None:
    """A temporary folder stays deleted, though a cache in it was closed later, at the end of the process."""
    folder = tmp_path / "temporary"
    with SqliteCache(folder / "rows.sqlite") as cache:
        cache.put_many({b"a": rows(1)})
        assert there(cache, b"a") == [True]
        shutil.rmtree(folder)
    assert not folder.exists()


def test_a_file_replaced_while_in_use_is_left_alone(
    path: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """SQLite would write the earlier file's log into it, and its documents would be gone."""
    published = tmp_path / "published.sqlite"
    with SqliteCache(published) as other:
        other.put_many({b"theirs": rows(1)})
    content = published.read_bytes()
    with SqliteCache(path, memory_bytes=0) as cache:
        cache.put_many({b"ours": rows(1)})
        published.replace(path)
        for _ in range(2):
            assert there(cache, b"theirs", b"ours") == [False, False]
            cache.put_many({b"ours": rows(1)})
        assert "rows.sqlite-wal is still the earlier one's: end the processes" in caplog.text
        assert path.read_bytes() == content
        for ending in ("-wal", "-shm"):
            Path(f"{path}{ending}").unlink()
        assert there(cache, b"theirs", b"ours") == [True, False]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """The error shows what a file would look like."""
    with pytest.raises(CacheError, match=r"is a folder, expected a file, such as .*rows\.sqlite"):
        SqliteCache(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"cache .*/file/rows\.sqlite is out of reach"):
        SqliteCache(tmp_path / "file" / "rows.sqlite")


@pytest.mark.parametrize("path", ["", "  ", "rows\0.sqlite"])
def test_a_path_that_names_no_file_is_refused(path: str) -> None:
    """An empty setting of a configuration is no wish for a cache in the working folder."""
    with pytest.raises(InputError, match="expected the name of a file"):
        SqliteCache(path)


AS_NOBODY = """
import logging, os, resource, sys, urllib.parse
import numpy as np
from laterank import CacheError, SqliteCache
logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
if os.getuid() == 0:
    os.setuid(65534)
path = sys.argv[1]
"""


def run(program: str, path: Path) -> str:
    """Run a program that may not write where this one may."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY + program, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def public(path: Path) -> Iterator[Path]:
    """Return a cache with one document that every user can reach, in a folder of pytest's."""
    with SqliteCache(path) as cache:
        cache.put_many({b"a": rows(2)})
    closed = [folder for folder in path.parents if folder.stat().st_mode & 0o055 == 0]
    for folder in closed:
        folder.chmod(0o755)
    yield path
    path.parent.chmod(0o700)
    for folder in closed:
        folder.chmod(0o700)


@pytest.fixture
def guarded(public: Path) -> Path:
    """Return a cache that nobody but root can write."""
    public.chmod(0o444)
    public.parent.chmod(0o555)
    return public


@pytest.mark.skipif(os.name != "posix", reason="permissions of another kind")
def test_a_read_only_cache_is_read(guarded: Path) -> None:
    """As in a container's image: what is there helps, what is not is scored without being kept, and that is said once."""
    printed = run(
        """
cache = SqliteCache(path)
for key in (b"b", b"c"):
    kept = cache.put_many({key: np.ones((3, 4), np.float32)})
print([found is not None for found in cache.get_many([b"a", b"x"])], kept[b"c"].shape, len(cache))
try:
    cache.clear()
except CacheError as error:
    print(error)
cache.close()
""",
        guarded,
    )
    lines = printed.splitlines()
    assert "takes no new documents" in lines[0]
    assert lines[1] == "[True, False] (3, 4) 1"
    assert "cannot be used as a cache" in lines[2]
    assert len(lines) == 3


@pytest.mark.skipif(os.name != "posix", reason="permissions of another kind")
def test_a_read_only_cache_that_is_replaced_is_read_anew(guarded: Path) -> None:
    """A file that was published by renaming it over the old one is read at the next call, without a restart."""
    look = "print(cache.contains_many([b'a', b'n']), flush=True)"
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{AS_NOBODY}\ncache = SqliteCache(path)\n{look}\ninput()\n{look}",
            str(guarded),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "[True, False]\n"
        published = guarded.parent.parent / "published.sqlite"
        with SqliteCache(published) as cache:
            cache.put_many({b"n": rows(2)})
        published.chmod(0o444)
        guarded.parent.chmod(0o755)
        published.rename(guarded)
        guarded.parent.chmod(0o555)
        assert reader.communicate("\n", timeout=120)[0] == "[False, True]\n"


@pytest.mark.skipif(os.name != "posix", reason="permissions of another kind")
@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root writes what is guarded"
)
def test_a_read_only_cache_that_is_changed_in_place_is_no_damaged_one(guarded: Path) -> None:
    """A reader that may write nothing has no locks: what root has changed since is read at the next call."""
    look = "print(cache.contains_many([b'a', b'5']), [found is not None for found in cache.get_many([b'a'])], flush=True)"
    script = f"{AS_NOBODY}\ncache = SqliteCache(path, memory_bytes=0)\n{look}\nfor _ in range(3):\n    input()\n    {look}"
    reader = subprocess.Popen(
        [sys.executable, "-c", script, str(guarded)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == "[True, False] [True]\n"
        for _ in range(3):
            with SqliteCache(guarded) as cache:
                cache.clear()
                cache.put_many({str(number).encode(): rows(2) for number in range(500)} | {b"a": rows(2)})
            reader.stdin.write("\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == "[True, True] [True]\n"


@pytest.mark.skipif(os.name != "posix", reason="permissions of another kind")
def test_a_cache_where_nothing_can_be_written_is_refused_at_once(guarded: Path) -> None:
    """When it is made, not when the first query comes."""
    printed = run(
        """
for place in ("new.sqlite", "new/folder/rows.sqlite"):
    try:
        SqliteCache(os.path.join(os.path.dirname(path), place))
    except CacheError as error:
        print(error)
""",
        guarded,
    )
    assert "cannot be used as a cache: unable to open" in printed
    assert "is out of reach: [Errno 13] Permission denied" in printed


@pytest.mark.skipif(os.name != "posix", reason="permissions of another kind")
def test_a_cache_that_goes_out_of_reach_says_so(public: Path) -> None:
    """With what the system said, and by this package's own error, at every call."""
    public.parent.chmod(0o777)
    printed = run(
        """
folder = path + ".folder"
os.mkdir(folder)
cache = SqliteCache(os.path.join(folder, "rows.sqlite"), memory_bytes=0)
cache.put_many({b"a": np.ones((3, 4), np.float32)})
os.chmod(folder, 0)
for ask in (len, lambda cache: cache.get_many([b"a"]), lambda cache: cache.contains_many([b"a"])):
    try:
        print(ask(cache))
    except CacheError as error:
        print(error)
os.chmod(folder, 0o700)
print(len(cache))
""",
        public,
    )
    *said, count = printed.splitlines()
    assert len(said) == 3
    assert all("is out of reach: [Errno 13] Permission denied" in line for line in said)
    assert count == "1"


@pytest.mark.skipif(os.name != "posix", reason="limits of another kind")
def test_a_full_disk_fails_no_put(public: Path) -> None:
    """What cannot be kept is returned all the same, what was kept before is still there, and it is said once."""
    public.chmod(0o666)
    public.parent.chmod(0o777)
    printed = run(
        """
cache = SqliteCache(path, storage="float32", memory_bytes=0)
cache.put_many({b"a": np.ones((2, 4), np.float32)})
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
for number in range(50):
    kept = cache.put_many({b"%d" % number: np.ones((5000, 4), np.float32)})
    assert kept[b"%d" % number].shape == (5000, 4)
found = cache.get_many([b"a"] + [b"%d" % number for number in range(50)])
print(found[0] is not None, 0 < sum(one is not None for one in found) < 30)
""",
        public,
    )
    lines = printed.splitlines()
    assert "takes no new documents" in lines[0]
    assert lines[1:] == ["True True"]


# --- the object -----------------------------------------------------------------------------------------------------


def test_it_follows_the_protocol(cache: SqliteCache) -> None:
    """Wherever a cache is expected, it will do."""
    assert isinstance(cache, DocumentCache)


def test_a_closed_cache_says_so(path: Path) -> None:
    """Closing twice is fine; asking is not."""
    cache = SqliteCache(path)
    cache.put_many({b"a": rows(1)})
    cache.close()
    cache.close()
    for call in (
        lambda: cache.get_many([b"b"]),
        lambda: cache.get_many([b"a"]),  # which is in memory
        lambda: cache.put_many({b"b": rows(1)}),
        lambda: cache.contains_many([b"a"]),
        lambda: cache.remembers_many([b"a"]),
        cache.stats,
        cache.clear,
        cache.prune,
    ):
        with pytest.raises(CacheError, match="is closed"):
            call()
    assert [file.name for file in path.parent.iterdir()] == ["rows.sqlite"]


def test_pickling_carries_path_and_options_and_copies_share(path: Path) -> None:
    """The documents are in the file, which the restored cache opens when it is asked."""
    cache = SqliteCache(path, max_bytes=12345, storage="float16", memory_bytes=678)
    cache.put_many({b"a": rows(2)})
    restored = pickle.loads(pickle.dumps(cache))
    assert (restored.path, restored.max_bytes, restored.storage, restored.memory_bytes) == (
        path,
        12345,
        "float16",
        678,
    )
    assert there(restored, b"a") == [True]
    assert copy.deepcopy(cache) is cache
    assert repr(restored) == f"SqliteCache({str(path)!r}, max_bytes=12345, storage='float16')"
    for one in (cache, restored):
        one.close()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_bytes": 0}, InputError, "max_bytes is 0, expected at least 1"),
        ({"max_bytes": 1.5}, InputError, "max_bytes is 1.5"),
        ({"memory_bytes": -1}, InputError, "memory_bytes is -1, expected at least 0"),
        ({"storage": "int4"}, InputError, "storage is 'int4', expected one of 'int8'"),
        ({"path": None}, InputTypeError, "path is NoneType"),
        ({"path": b"rows"}, InputTypeError, "path is bytes"),
    ],
)
def test_options_that_cannot_work_are_refused(
    path: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    """The error shows what was given, and no file is made."""
    with pytest.raises(error, match=message):
        SqliteCache(**{"path": path, **options})  # type: ignore[arg-type]
    assert not path.exists()


def test_numpy_numbers_are_bounds(path: Path) -> None:
    """As they come out of an array of settings; they stay ordinary numbers."""
    with SqliteCache(path, max_bytes=np.int64(10**6), memory_bytes=np.int32(10**5)) as cache:  # type: ignore[arg-type]
        assert [type(bound) for bound in (cache.max_bytes, cache.memory_bytes)] == [int, int]
        cache.put_many({b"a": rows(1)})
        assert cache.prune(np.int64(0)) == 1  # type: ignore[arg-type]


def test_rows_that_cannot_be_scored_are_not_kept(cache: SqliteCache) -> None:
    """A broken encoder must not spoil the file."""
    with pytest.raises(InputError, match="NaN"):
        cache.put_many({b"a": rows(1, np.nan)})
    assert len(cache) == 0


def test_a_forgotten_cache_closes_its_file(path: Path) -> None:
    """No warning of an unclosed database, no file left open."""
    cache = SqliteCache(path)
    cache.put_many({b"a": rows(1)})
    del cache
    assert [file.name for file in path.parent.iterdir()] == ["rows.sqlite"]


def test_the_file_is_a_cache_by_its_header(path: Path) -> None:
    """``file rows.sqlite`` and a later laterank can tell what it is."""
    SqliteCache(path).close()
    header = path.read_bytes()[:100]
    assert int.from_bytes(header[68:72], "big") == APPLICATION_ID
    assert int.from_bytes(header[16:18], "big") == 16 * 1024


@pytest.mark.skipif(os.name != "posix", reason="a folder in use cannot be deleted there")
def test_a_path_relative_to_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    """The process still runs there; a whole path is opened all the same."""
    program = (
        "import os, sys; from laterank import CacheError, SqliteCache\n"
        "os.rmdir(os.getcwd())\n"
        "try:\n    SqliteCache('rows.sqlite')\nexcept CacheError as error:\n    print(error)\n"
        "SqliteCache(sys.argv[1]).close()"
    )
    gone, whole = tmp_path / "gone", tmp_path / "rows.sqlite"
    gone.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program, str(whole)], cwd=gone, capture_output=True, text=True, check=True
    )
    assert "rows.sqlite is relative to the working folder, which is gone" in done.stdout
    assert whole.is_file()


def test_a_full_disk_says_that_the_cache_may_be_deleted(tmp_path: Path) -> None:
    """Forgetting documents needs room as well."""
    told = str(out_of_use(tmp_path / "rows.sqlite", sqlite3.OperationalError("database or disk is full")))
    assert "make room on its disk, or delete it, with rows.sqlite-wal and rows.sqlite-shm" in told
    assert "local disk" in str(out_of_use(tmp_path, sqlite3.OperationalError("unable to open database file")))
