"""Eight threads that share one reranker, and worker processes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from interleaving import interleaved
from speed_numbers import Bar, at_least, at_most, speed_up, table, times_cells
from speed_systems import LaterankSystem
from speed_texts import QUERY, passages

__all__ = [
    "measure_pool",
    "measure_threads",
    "pool_bars",
    "pool_tables",
    "threads_bars",
    "threads_tables",
]

Found = Mapping[str, Any]

THREADS = 8
ALONE, SHARED = "one thread, one after the other", f"{THREADS} threads at once"
WITHOUT, WITH = "workers=0", "workers=2"


def measure_threads(options: argparse.Namespace) -> dict[str, Any]:
    """Rank a list for each thread, nothing cached: by one thread, and by all at once."""
    system = LaterankSystem("bundled", options.threads)
    count = max(2, options.documents // THREADS * 2)
    documents = passages(options.data, "d200", count * THREADS)
    lists = [documents[start : start + count] for start in range(0, len(documents), count)]
    rank = partial(system.scores, QUERY)
    rank(lists[0][:2])
    with ThreadPoolExecutor(THREADS) as pool:
        calls = {ALONE: lambda: list(map(rank, lists)), SHARED: lambda: list(pool.map(rank, lists))}
        one, other = calls[ALONE](), calls[SHARED]()
        largest = max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
        return {
            "documents": count,
            "largest_difference_of_a_score": largest,
            "milliseconds": interleaved(calls, options.rounds),
        }


def threads_tables(found: Found) -> list[str]:
    """Return both times."""
    said = (
        f"{THREADS} lists of {found['documents']} documents of about 200 tokens, the bundled model; "
        f"largest difference of a score: {found['largest_difference_of_a_score']:.1e}."
    )
    rows = [[name, *times_cells(taken)] for name, taken in found["milliseconds"].items()]
    return [said, "", *table(["", "median, ms", "fastest", "slowest"], rows)]


def threads_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge throughput and scores."""
    found = results.get("threads", {})
    times = found.get("milliseconds")
    ratio = speed_up(times[ALONE], times[SHARED]) if times else None
    return [
        at_least(f"{THREADS} threads share a reranker, throughput against one thread", 1, ratio),
        at_most(
            f"{THREADS} threads, largest difference of a score", 0, found.get("largest_difference_of_a_score")
        ),
    ]


def measure_pool(options: argparse.Namespace) -> dict[str, Any]:
    """Time many documents with worker processes and without; the call that starts the workers is apart."""
    documents = passages(options.data, "d200", options.documents * 10)
    plain = LaterankSystem("bundled", options.threads)
    workers = LaterankSystem("bundled", options.threads, workers=2)
    with workers.reranker:
        plain.scores(QUERY, documents[:4])
        before = _children()
        calls = {
            WITHOUT: partial(plain.scores, QUERY, documents),
            WITH: partial(workers.scores, QUERY, documents),
        }
        [first] = interleaved({WITH: calls[WITH]}, 1)[WITH]
        started = _children() - before
        times = interleaved(calls, options.thousand_rounds)
        same = _children() - before == started and bool(started)
        largest = float(np.abs(calls[WITH]() - calls[WITHOUT]()).max())
    return {
        "documents": len(documents),
        "processes": len(started),
        "same_processes_in_every_call": same,
        "first_call": first,
        "largest_difference_of_a_score": largest,
        "milliseconds": times,
    }


def _children() -> set[int]:
    """Return the processes that this one has started and that still run."""
    files = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(child) for file in files for child in file.read_text(encoding="utf-8").split()}


def pool_tables(found: Found) -> list[str]:
    """Return the times, the workers' start among them."""
    said = f"{found['documents']} documents of about 200 tokens, the bundled model, nothing cached."
    rows = [[name, *times_cells(taken)] for name, taken in found["milliseconds"].items()]
    rows.append(["workers=2, the call that starts them", *times_cells([found["first_call"]])])
    return [said, "", *table(["", "median, ms", "fastest", "slowest"], rows)]


def pool_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge speed, and that the workers stay."""
    found = results.get("pool", {})
    times = found.get("milliseconds")
    ratio = speed_up(times[WITHOUT], times[WITH]) if times else None
    same = float(found["same_processes_in_every_call"]) if found else None
    return [
        at_least(f"workers=2 against none, d200 x {found.get('documents', 1000)}", 1, ratio),
        at_least("later calls have the same workers (1 is yes)", 1, same),
        at_most("workers, largest difference of a score", 0, found.get("largest_difference_of_a_score")),
    ]
