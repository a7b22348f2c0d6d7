"""One cache file among threads, processes, forks and kills: no wrong rows, no errors, nothing lost that was committed."""

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from laterank import MemoryCache, SqliteCache, forking
from laterank.cache.maintenance import contents
from laterank.cache.sqlite_file import SqliteFile

WORKER = """
import logging, random, sys
import numpy as np
from laterank import SqliteCache

logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
path, seed, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
keys = [b"%d" % number for number in range(300)]

def rows(key):  # every number tells whose rows these are
    return np.full((20 + int(key) % 50, 64), int(key) + 1, np.float32)

cache, chosen = SqliteCache(path, memory_bytes=0, max_bytes=600_000), random.Random(seed)
print("ready", flush=True)
call = 0
while call != calls:
    call += 1
    batch = chosen.sample(keys, 40)
    for key, found in zip(batch, cache.get_many(batch)):
        expected = rows(key)
        if found is not None and (found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-4)):
            print("wrong rows for", key, flush=True)
    cache.put_many({key: rows(key) for key in chosen.sample(keys, 20)})
    if call % 50 == 0:
        cache.prune(400_000)
assert cache.stats().size_bytes <= 600_000
cache.close()
print("done", flush=True)
"""


started: "list[subprocess.Popen[str]]" = []


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """A test that fails leaves no process behind."""
    yield
    for worker in started:
        worker.kill()
        if worker.returncode is None:
            worker.communicate()
    started.clear()


def start(path: Path, seed: int, calls: int) -> "subprocess.Popen[str]":
    """Start a process that reads and writes; without an end where calls is -1."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path), str(seed), str(calls)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(worker)
    return worker


def finish(worker: "subprocess.Popen[str]") -> None:
    """Wait for a process, and see that it found no wrong row, met no error and logged nothing."""
    printed, errors = worker.communicate(timeout=240)
    assert (worker.returncode, errors) == (0, "")
    assert printed.split() == ["ready", "done"]


def check(path: Path) -> None:
    """See that the file is whole and that the counts kept by triggers are those of the tables."""
    with SqliteCache(path) as cache:
        stats = cache.stats()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    [counted] = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM entries JOIN bodies USING (id)"
    )
    [bodies] = connection.execute("SELECT count(*), coalesce(sum(length(body)), 0) FROM bodies")
    assert counted == bodies == (stats.documents, stats.size_bytes)
    connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.sqlite"


def test_processes_share_a_file_from_its_first_byte(path: Path) -> None:
    """All of them start at once on a file that is not there yet, and evict what others have just written."""
    for worker in [start(path, seed, 60) for seed in range(6)]:
        finish(worker)
    check(path)


def test_killed_writers_harm_nothing(path: Path) -> None:
    """Writers are killed at any moment, the opening among them; others go on, and the file stays whole."""
    others = [start(path, seed, 120) for seed in range(3)]
    chosen = random.Random(0)
    for kill in range(12):
        writer = start(path, 100 + kill, -1)
        if kill % 4:  # the others are killed while they import or open
            assert writer.stdout is not None
            writer.stdout.readline()
        time.sleep(chosen.uniform(0, 0.3))
        writer.send_signal(signal.SIGKILL)
        printed, errors = writer.communicate(timeout=60)
        assert (printed in ("", "ready\n"), errors) == (True, ""), printed
    for other in others:
        finish(other)
    check(path)


def test_what_was_put_outlives_a_kill(path: Path) -> None:
    """Once put_many has returned, the documents are there, whatever becomes of the process."""
    program = """
import os, signal, sys
import numpy as np
from laterank import SqliteCache
from laterank.cache.maintenance import contents
cache = SqliteCache(sys.argv[1])
cache.put_many({b"%d" % n: np.full((9, 8), n + 1, np.float32) for n in range(500)})
os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""
    writer = subprocess.run([sys.executable, "-c", program, str(path)], check=False, timeout=60)
    assert writer.returncode != 0
    with SqliteCache(path) as cache:
        assert all(cache.contains_many([b"%d" % n for n in range(500)]))
    check(path)


@pytest.mark.parametrize("memory_bytes", [0, 3000])
def test_threads_share_one_cache(path: Path, memory_bytes: int) -> None:
    """Eight threads on overlapping keys, with evictions all the time."""
    cache, failures = SqliteCache(path, max_bytes=5000, memory_bytes=memory_bytes), []

    def work(seed: int) -> None:
        chosen = random.Random(seed)
        try:
            for _ in range(60):
                keys = [bytes([number]) for number in chosen.sample(range(60), 6)]
                cache.put_many({key: np.full((8, 16), key[0] + 1, np.float32) for key in keys[:3]})
                for key, found in zip(keys, cache.get_many(keys), strict=True):
                    if found is not None:
                        np.testing.assert_allclose(found, np.full((8, 16), key[0] + 1), rtol=1e-4)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert cache.stats().hits + cache.stats().misses == 8 * 60 * 6
    cache.close()
    check(path)


def test_a_writer_elsewhere_delays_no_reader(path: Path) -> None:
    """While another process holds the file for writing, look-ups and their notes of use go on."""
    cache = SqliteCache(path, memory_bytes=0)
    cache.put_many({b"a": np.ones((2, 2), np.float32)})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    assert cache.get_many([b"a"])[0] is not None
    cache.close()  # writes down the use, unless somebody is writing
    assert time.monotonic() - started < 5
    other.close()


def test_a_lock_that_lasts_too_long_is_a_warning(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A put that never gets its turn gives its rows all the same."""
    monkeypatch.setattr("laterank.cache.sqlite_opening.BUSY_SECONDS", 0.05)
    with SqliteCache(path) as cache:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        kept = cache.put_many({b"a": np.ones((2, 2), np.float32)})
        assert kept[b"a"].shape == (2, 2)
        other.close()
    assert "takes no new documents (database is locked)" in caplog.text


# --- forks ----------------------------------------------------------------------------------------------------------

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads run here, which is the point
        return os.fork()


@forks
def test_a_fork_in_the_middle_of_use_is_safe(path: Path) -> None:
    """Children read and write at once while the parent's threads go on, and all see each other's documents."""
    cache = SqliteCache(path)
    cache.put_many({b"before": np.ones((3, 4), np.float32)})
    stop, failures = threading.Event(), []

    def work(seed: int) -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                cache.put_many({b"%d-%d" % (seed, number % 50): np.full((9, 4), seed + 1, np.float32)})
                assert cache.get_many([b"before"])[0] is not None
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    children = []
    for number in range(8):
        child = fork()
        if child == 0:
            right = False
            try:
                cache.put_many({b"child-%d" % number: np.ones((2, 4), np.float32)})
                right = all(cache.contains_many([b"before", b"child-%d" % number])) and cache.get_many(
                    [b"x"]
                ) == [None]
            finally:
                os._exit(0 if right else 1)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    stop.set()
    for thread in threads:
        thread.join()
    assert statuses == [0] * 8
    assert failures == []
    assert all(cache.contains_many([b"child-%d" % number for number in range(8)]))
    cache.close()
    check(path)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed on Linux only")
def test_no_connection_is_open_across_a_fork(path: Path) -> None:
    """SQLite forbids it: the child would believe that it holds the parent's locks."""
    cache = SqliteCache(path)
    cache.put_many({b"a": np.ones((3, 4), np.float32)})
    child = fork()
    if child == 0:
        links = [str(link.readlink()) for link in Path("/proc/self/fd").glob("*") if link.exists()]
        os._exit(sum("rows.sqlite" in link for link in links))
    assert os.waitpid(child, 0)[1] == 0
    assert cache.get_many([b"a"])[0] is not None
    cache.close()


@forks
def test_a_child_of_an_unlucky_fork_ranks_without_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a thread did not end in time, the child must not touch the file, and goes on all the same."""
    monkeypatch.setattr("laterank.cache.sqlite_file.FORK_WAIT_SECONDS", 0.05)
    cache = SqliteCache(path, memory_bytes=0)
    cache.put_many({b"a": np.ones((3, 4), np.float32)})
    with cache._file.lend():
        child = fork()
        if child == 0:
            found, kept = cache.get_many([b"a"]), cache.put_many({b"b": np.ones((3, 4), np.float32)})
            os._exit(0 if found == [None] and kept[b"b"].shape == (3, 4) else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert cache.contains_many([b"a", b"b"]) == [True, False]
    cache.close()


def test_an_object_of_another_thread_during_a_fork_goes_on(path: Path) -> None:
    """Made while the fork waits, or not paused because Ctrl-C ended the waiting: it is not left waiting for ever."""
    cache = SqliteCache(path)
    forking._pause_all()
    late = SqliteCache(path.with_name("late.sqlite"))
    forking._resume_all()
    forking._resume_all()  # one more than pauses
    for each in (cache, late):
        each.put_many({b"a": np.ones((3, 4), np.float32)})
        assert each.contains_many([b"a"]) == [True]
        each.close()


def test_ctrl_c_while_others_are_resumed_leaves_none_paused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt comes out at the end."""
    caches = [SqliteCache(path.with_name(f"{number}.sqlite")) for number in range(3)]
    resume, interrupts = SqliteFile.resume, iter([KeyboardInterrupt])

    def interrupted(file: SqliteFile) -> None:
        for interrupt in interrupts:
            raise interrupt
        resume(file)

    forking._pause_all()
    monkeypatch.setattr(SqliteFile, "resume", interrupted)
    with pytest.raises(KeyboardInterrupt):
        forking._resume_all()
    for cache in caches:
        assert cache.contains_many([b"a"]) == [False]
        cache.close()


def test_objects_that_are_made_all_the_time_do_not_stop_a_fork() -> None:
    """Going through all of them meets one that another thread is adding."""
    stop = threading.Event()

    def make() -> None:
        while not stop.is_set():
            MemoryCache()

    switching = sys.getswitchinterval()
    maker = threading.Thread(target=make)
    sys.setswitchinterval(1e-6)
    maker.start()
    try:
        for _ in range(2000):
            forking._all()
    finally:
        sys.setswitchinterval(switching)
        stop.set()
        maker.join()


def test_a_deleted_file_is_made_anew_when_no_thread_has_the_old_one(path: Path) -> None:
    """The system drops a process's locks on the file beside both as soon as either is closed."""
    cache = SqliteCache(path, memory_bytes=0)
    cache.put_many({b"a": np.ones((3, 4), np.float32)})
    with cache._file.lend(), cache._file.lend():
        path.unlink()
        assert cache.get_many([b"a"]) == [None]
        assert cache.put_many({b"b": np.ones((3, 4), np.float32)})[b"b"].shape == (3, 4)
        assert not path.exists()
    cache.put_many({b"c": np.ones((3, 4), np.float32)})
    assert len(cache._file._idle) == 1
    assert cache.contains_many([b"a", b"b", b"c"]) == [False, False, True]
    cache.close()


def test_a_log_that_another_process_has_just_deleted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one to close the file takes the log away, between any two looks of one that opens it."""
    SqliteCache(path).put_many({b"a": np.ones((3, 4), np.float32)})
    log, exists = Path(f"{path}-wal"), Path.exists
    log.unlink(missing_ok=True)
    monkeypatch.setattr(Path, "exists", lambda self, **options: self == log or exists(self, **options))
    assert SqliteCache(path).contains_many([b"a"]) == [True]
    assert contents(SqliteCache(path)).documents == 1


@forks
def test_a_worker_of_a_pool_uses_the_parents_cache(path: Path) -> None:
    """As gunicorn's preload does: made in the parent, used in each worker."""
    cache = SqliteCache(path)
    cache.put_many({b"a": np.ones((3, 4), np.float32)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert pool.map(cache.contains_many, [[b"a"]] * 6) == [[True]] * 6
    cache.close()


def test_a_cache_travels_to_a_spawned_process(path: Path) -> None:
    """The pickle holds the path, not the connection."""
    with SqliteCache(path) as cache:
        cache.put_many({b"a": np.ones((3, 4), np.float32)})
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(cache.contains_many, ([b"a", b"b"],)) == [True, False]
