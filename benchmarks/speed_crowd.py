"""Eight processes on one cache file while one of them is killed every second: is any row wrong, does any error come out?

``python speed_crowd.py FILE SEED SECONDS`` is one of these processes.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from speed_numbers import Bar, at_least, at_most, number, table

from laterank import SqliteCache

__all__ = ["crowd_bars", "crowd_tables", "measure_crowd"]

Found = Mapping[str, Any]

PROCESSES, SECONDS = 8, 60
DOCUMENTS = 10_000
"""What the file has room for; the processes ask for, and write, a fifth more, so that it evicts all the time."""
TOKENS, DIM = 200, 128
READ, WRITTEN = 64, 32
ROWS = np.random.default_rng(0).standard_normal((TOKENS, DIM)).astype(np.float32)
STEP = np.abs(ROWS).max(axis=1, keepdims=True) / 127


def rows_of(document: int) -> NDArray[np.float32]:
    """Return rows that tell whose they are. *Shape:* ``(200, 128)``"""
    return np.roll(ROWS, document, axis=1) * np.float32(1 + document)


def key_of(document: int) -> bytes:
    """Return a document's key."""
    return document.to_bytes(16, "little")


def is_wrong(document: int, found: Any) -> bool:
    """Tell whether rows differ from the document's by more than INT8 rounds."""
    rows = np.asarray(found, dtype=np.float32)
    return rows.shape != ROWS.shape or bool(
        (np.abs(rows - rows_of(document)) > 0.51 * STEP * (1 + document)).any()
    )


def opened(file: Path) -> SqliteCache:
    """Open the cache with room for so many documents; rows come from the file alone."""
    return SqliteCache(file, max_bytes=DOCUMENTS * (TOKENS * (DIM + 4) + 32), memory_bytes=0)


def take_part(file: Path, seed: int, seconds: float) -> None:
    """Read and write until the time is up, and print a line for each call: what was read, and what of it was wrong."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    chosen, end = random.Random(seed), time.monotonic() + seconds
    with opened(file) as cache:
        while time.monotonic() < end:
            asked = chosen.sample(range(DOCUMENTS * 6 // 5), READ)
            found = [
                (document, rows)
                for document, rows in zip(asked, cache.get_many(list(map(key_of, asked))), strict=True)
                if rows is not None
            ]
            wrong = sum(is_wrong(document, rows) for document, rows in found)
            written = chosen.sample(range(DOCUMENTS * 6 // 5), WRITTEN)
            cache.put_many({key_of(document): rows_of(document) for document in written})
            print(json.dumps([len(found), wrong]), flush=True)


def measure_crowd(options: argparse.Namespace) -> dict[str, Any]:
    """Fill a file, set the processes on it, kill one every second, and look at every row at the end."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        file = Path(folder) / "rows.sqlite"
        with opened(file) as cache:
            for start in range(0, DOCUMENTS, 256):
                some = range(start, min(start + 256, DOCUMENTS))
                cache.put_many({key_of(document): rows_of(document) for document in some})
        printed, complaints, kills = _crowded(file, Path(folder))
        with opened(file) as cache:
            everything = range(DOCUMENTS * 6 // 5)
            kept = [
                is_wrong(document, rows)
                for document in everything
                for rows in cache.get_many([key_of(document)])
                if rows is not None
            ]
        with sqlite3.connect(file) as connection:
            [[sound]] = connection.execute("PRAGMA integrity_check").fetchall()
    return {
        "kills": kills,
        "calls": len(printed),
        "read": sum(read for read, _ in printed),
        "wrong": sum(wrong for _, wrong in printed) + sum(kept),
        "complaints": complaints + ([] if sound == "ok" else [sound]),
        "documents_after": len(kept),
    }


def _crowded(file: Path, folder: Path) -> tuple[list[list[int]], list[str], int]:
    """Return what the processes printed, what they wrote to standard error, and how many were killed."""
    end, logs = time.monotonic() + SECONDS, []

    def start(seed: int) -> subprocess.Popen[bytes]:
        out, errors = (folder / f"{seed}.{kind}" for kind in ("out", "err"))
        logs.append((out, errors))
        command = [sys.executable, __file__, str(file), str(seed), str(end - time.monotonic())]
        with out.open("wb") as stdout, errors.open("wb") as stderr:
            return subprocess.Popen(command, stdout=stdout, stderr=stderr)

    crowd, kills = [start(seed) for seed in range(PROCESSES)], 0
    while end - time.monotonic() > 1:
        time.sleep(1)
        crowd[kills % PROCESSES].kill()
        crowd[kills % PROCESSES].wait()
        crowd[kills % PROCESSES] = start(PROCESSES + kills)
        kills += 1
    ended = [process.wait() for process in crowd]
    complaints = [line for _, errors in logs for line in errors.read_text(encoding="utf-8").splitlines()]
    complaints += [f"a process ended with {code}" for code in ended if code]
    # A killed process may leave half a line.
    lines = [line for out, _ in logs for line in out.read_text(encoding="utf-8").splitlines()]
    return [json.loads(line) for line in lines if line.endswith("]")], complaints, kills


def crowd_tables(found: Found) -> list[str]:
    """Return what was done, and what was found wrong."""
    said = (
        f"A file of {DOCUMENTS:,} documents of {TOKENS} rows of {DIM} numbers, in INT8; {PROCESSES} processes read and write {SECONDS} "
        f"seconds, a fifth more documents than there is room for, and one of them is killed every second (kill -9) and replaced."
    )
    names = ("kills", "calls", "read", "wrong", "documents_after")
    heads: Sequence[str] = (
        "kills",
        "calls",
        "documents read",
        "with a wrong row",
        "documents at the end",
        "errors and warnings",
    )
    return [
        said,
        "",
        *table(heads, [[*(number(found[name]) for name in names), str(len(found["complaints"]))]]),
    ]


def crowd_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge that nothing is wrong, and that processes were killed at all."""
    found = results.get("crowd", {})
    return [
        at_least("store in a crowd, processes killed", 50, found.get("kills")),
        at_most("store in a crowd, documents with a wrong row", 0, found.get("wrong")),
        at_most("store in a crowd, errors and warnings", 0, len(found["complaints"]) if found else None),
    ]


if __name__ == "__main__":
    take_part(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
