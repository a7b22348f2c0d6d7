"""MaxSim in memory, in each storage, against maxsim-cpu."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from interleaving import interleaved
from numpy.typing import NDArray
from speed_numbers import Bar, at_least, speed_up, table, times_cells

from laterank import maxsim
from laterank.cache.codec import decode_rows, encode_rows

__all__ = ["maxsim_bars", "maxsim_tables", "measure_maxsim", "unit_rows"]

Found = Mapping[str, Any]
Rows = NDArray[np.float32]

STORAGES = ("float32", "float16", "int8")
PEER = "maxsim-cpu"
QUERY_ROWS = 32
DIMS = (128, 96)


def unit_rows(count: int, dim: int, rng: np.random.Generator) -> Rows:
    """Return rows of random direction."""
    rows = rng.standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def measure_maxsim(options: argparse.Namespace) -> dict[str, Any]:
    """Time documents of 150 to 250 rows in each storage, and compare the scores with exact arithmetic."""
    return {str(dim): _timed(dim, options) for dim in DIMS}


def _timed(dim: int, options: argparse.Namespace) -> dict[str, Any]:
    import maxsim_cpu  # no reader of the report needs it

    rng = np.random.default_rng(0)
    query = unit_rows(QUERY_ROWS, dim, rng)
    lengths = rng.integers(150, 250, options.documents * 10)
    documents = [unit_rows(int(length), dim, rng) for length in lengths]
    kept = {
        storage: [decode_rows(encode_rows(rows, storage, key=b""), key=b"") for rows in documents]  # type: ignore[arg-type]
        for storage in STORAGES
    }
    calls: dict[str, Callable[[], Any]] = {PEER: lambda: maxsim_cpu.maxsim_scores_variable(query, documents)}
    for storage, rows in kept.items():
        calls[storage] = lambda rows=rows: maxsim(query, rows, threads=options.threads)  # type: ignore[misc]
    return {
        "documents": len(documents),
        "largest_error_of_the_mean": {
            storage: float(np.abs(calls[storage]() - _exact(query, rows)).max() / QUERY_ROWS)
            for storage, rows in kept.items()
        },
        "milliseconds": interleaved(calls, options.warm_rounds),
    }


def _exact(query: Rows, documents: list[Any]) -> NDArray[np.float64]:
    """Score rows as they are stored, by the definition and in double precision."""
    columns = query.T.astype(np.float64)
    return np.array([(np.asarray(rows, dtype=np.float64) @ columns).max(axis=0).sum() for rows in documents])


def maxsim_tables(found: Found) -> list[str]:
    """Return each storage's time, speed-up and error."""
    rows = []
    for dim, measured in found.items():
        times, errors = measured["milliseconds"], measured["largest_error_of_the_mean"]
        for name, taken in times.items():
            ratio = f"{speed_up(times[PEER], taken)[0]:.1f}"
            error = f"{errors[name]:.1e}" if name in errors else ""
            rows.append([name, dim, *times_cells(taken), ratio, error])
    documents = next(iter(found.values()))["documents"]
    heads = [
        "rows",
        "numbers a row",
        "median, ms",
        "fastest",
        "slowest",
        f"times as fast as {PEER}",
        "error of the mean",
    ]
    return [f"{documents} documents of 150 to 250 rows, {QUERY_ROWS} query rows.", "", *table(heads, rows)]


def maxsim_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge float32 and INT8."""
    bars = []
    for dim in map(str, DIMS):
        times = results.get("maxsim", {}).get(dim, {}).get("milliseconds")
        for storage, limit in (("float32", 2), ("int8", 4)):
            ratio = speed_up(times[PEER], times[storage]) if times else None
            bars.append(
                at_least(f"MaxSim in memory, {storage}, {dim} numbers a row, against {PEER}", limit, ratio)
            )
    return bars
