"""How many documents a second the cache on disk takes and gives, in batches.

The memory tier is off, so that every get reads the file (which the operating system has in its own cache, as it has for
whoever just wrote it).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from speed_maxsim import unit_rows
from speed_numbers import Bar, at_least, number, table

from laterank import SqliteCache

__all__ = ["measure_store", "store_bars", "store_tables"]

Found = Mapping[str, Any]

STORAGES = ("float16", "int8", "float32")
TOKENS, DIM = 200, 128
BATCH = 256


def measure_store(options: argparse.Namespace) -> dict[str, Any]:
    """Measure each storage in turn."""
    documents = options.documents * 100
    rates: dict[str, dict[str, list[float]]] = {storage: {} for storage in STORAGES}
    for _ in range(options.rounds):
        for storage in STORAGES:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                found = _rates(storage, documents, Path(folder) / storage)
            for name, rate in found.items():
                rates[storage].setdefault(name, []).append(rate)
            print(storage, {name: round(rate) for name, rate in found.items()}, flush=True)
    return {"documents": documents, "batch": BATCH, "documents_a_second": rates}


def _rates(storage: str, documents: int, path: Path) -> dict[str, float]:
    """Return documents a second, put and got once each, and the file's size."""
    rows = unit_rows(TOKENS, DIM, np.random.default_rng(0))
    keys = [number.to_bytes(16, "little") for number in range(documents)]
    batches = [keys[start : start + BATCH] for start in range(0, documents, BATCH)]
    with SqliteCache(path, storage=storage, max_bytes=1 << 40, memory_bytes=0) as cache:  # type: ignore[arg-type]
        start = time.perf_counter()
        for some in batches:
            cache.put_many(dict.fromkeys(some, rows))
        put = time.perf_counter() - start
        start = time.perf_counter()
        for some in batches:
            if any(found is None for found in cache.get_many(some)):
                raise SystemExit("a document that was put is not there")
        got = time.perf_counter() - start
    return {"put": documents / put, "get": documents / got, "mebibytes": path.stat().st_size / 2**20}


def store_tables(found: Found) -> list[str]:
    """Return median and fastest rates."""
    rows = []
    for storage, rates in found["documents_a_second"].items():
        cells = [number(float(f(rates[name]))) for name in ("put", "get") for f in (np.median, max)]
        rows.append([storage, *cells, number(rates["mebibytes"][0])])
    heads = ["storage", "put, median a second", "fastest", "get, median a second", "fastest", "file, MiB"]
    said = (
        f"{found['documents']:,} documents of {TOKENS} rows of {DIM} numbers, in batches of {found['batch']}."
    )
    return [said, "", *table(heads, rows)]


def store_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge float16 and INT8."""
    found = results.get("store", {}).get("documents_a_second", {})
    bars = []
    for storage in ("float16", "int8"):
        for name, limit in (("put", 5_000), ("get", 20_000)):
            rates = found.get(storage, {}).get(name)
            rate = (float(np.median(rates)), max(rates)) if rates else None
            bars.append(at_least(f"store, {name}, {storage}, documents a second", limit, rate))
    return bars
