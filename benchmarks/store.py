"""How many documents a second the cache on disk takes and gives, in batches.

Run ``python benchmarks/store.py``. Documents have 200 rows of 128 numbers; the memory tier is off, so that every get reads
the file (which the operating system has in its own cache, as it has for whoever just wrote it).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from speed_report import machine_facts

from laterank import SqliteCache

HERE = Path(__file__).parent
STORAGES = ("float16", "int8", "float32")
TOKENS, DIM = 200, 128


def rates(storage: str, documents: int, batch: int, folder: str) -> dict[str, float]:
    """Return documents a second, put and got once each, and the file's size."""
    rows = np.random.default_rng(0).standard_normal((TOKENS, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    keys = [number.to_bytes(16, "little") for number in range(documents)]
    batches = [keys[start : start + batch] for start in range(0, documents, batch)]
    path = Path(folder) / storage
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


def main() -> None:
    """Measure each storage in turn and keep each one's fastest round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where the files are written; a temporary folder if not given")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    best: dict[str, dict[str, float]] = {}
    before = os.getloadavg()[0]
    for _ in range(options.rounds):
        for storage in STORAGES:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                found = rates(storage, options.documents, options.batch, folder)
            best[storage] = {name: max(rate, best.get(storage, found)[name]) for name, rate in found.items()}
            print(storage, {name: round(rate) for name, rate in found.items()}, flush=True)
    results = {
        "machine": machine_facts(),
        "load": [before, os.getloadavg()[0]],
        "documents": options.documents,
        "batch": options.batch,
        "documents_a_second": best,
    }
    (options.results / "store.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
