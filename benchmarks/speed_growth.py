"""Latency against the number of candidates: what the plot shows, and whether it grows linearly."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from interleaving import interleaved
from speed_cold import minilm_systems
from speed_maxsim import unit_rows
from speed_numbers import Bar, at_most, exponent, number, table
from speed_systems import LaterankSystem, System
from speed_texts import QUERY, passages

from laterank import Reranker, SqliteCache
from laterank.cache.lookup import DocumentRows

__all__ = ["COLD", "WARM", "growth_bars", "growth_tables", "measure_growth", "put_drawn_rows", "texts_of"]

Found = Mapping[str, Any]

COLD, WARM = "laterank, bundled model", "laterank, bundled model, rows on disk"
COUNTS = (10, 30, 100, 300, 1000)
WARM_COUNTS = (*COUNTS, 3000, 10_000)
PEERS_UP_TO = 100
LARGEST_EXPONENT = 1.1
"""Linear growth is 1; the tenth above it is for timings, which are never exact."""
DRAWN = 256
PUT_AT_ONCE = 512


def measure_growth(options: argparse.Namespace) -> dict[str, Any]:
    """Time the bundled model cold and warm, and the MiniLM shape in all libraries up to a hundred."""
    scale = options.documents / 100
    counts, warm_counts = ([max(2, int(count * scale)) for count in some] for some in (COUNTS, WARM_COUNTS))
    documents = passages(options.data, "d200", counts[-1])
    systems: dict[str, System] = {
        COLD: LaterankSystem("bundled", options.threads),
        **minilm_systems(options, [1, 8]),
    }
    systems.pop("PyLate :32", None)
    found: dict[str, dict[str, list[float]]] = {}
    for count in counts:
        here = {COLD: systems[COLD]} if count > PEERS_UP_TO * scale else systems
        calls = {name: partial(system.scores, QUERY, documents[:count]) for name, system in here.items()}
        for name, taken in interleaved(calls, options.thousand_rounds).items():
            found.setdefault(name, {})[str(count)] = taken
    found[WARM] = _warm(warm_counts, options)
    return {"milliseconds": found}


def _warm(counts: Sequence[int], options: argparse.Namespace) -> dict[str, list[float]]:
    """Time rankings whose rows, drawn at random, are read from the file."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "rows"
        texts = texts_of(options.data, counts[-1])
        put_drawn_rows(path, texts)
        with SqliteCache(path, memory_bytes=0, max_bytes=1 << 40) as cache:
            reranker = Reranker.from_pretrained(threads=options.threads, cache=cache)
            reranker.rank(QUERY, texts)
            calls = {str(count): partial(reranker.rank, QUERY, texts[:count]) for count in counts}
            return interleaved(calls, max(options.rounds, options.warm_rounds // 4))


def texts_of(data: Path, count: int) -> list[str]:
    """Return as many different texts of about 200 tokens: real ones, numbered."""
    real = passages(data, "d200", 100)
    return [f"{number}: {real[number % len(real)]}" for number in range(count)]


def put_drawn_rows(path: Path, texts: Sequence[str], planted: int | None = None) -> None:
    """Put rows of random direction for each text, as if the bundled model had encoded it; encoding would take hours.

    Args:
        path: The cache's file.
        texts: 150 to 250 rows for each.
        planted: The place of a text that gets the query's own rows, so that it must come first.
    """
    encoder = Reranker.from_pretrained(cache=False).encoder
    rng = np.random.default_rng(0)
    drawn = [unit_rows(int(length), encoder.dim, rng) for length in rng.integers(150, 250, DRAWN)]
    [query_rows] = encoder.encode_queries([QUERY])
    with SqliteCache(path, memory_bytes=0, max_bytes=1 << 40) as cache:
        lookup = DocumentRows(encoder, cache)
        for start in range(0, len(texts), PUT_AT_ONCE):
            keys = lookup.keys(texts[start : start + PUT_AT_ONCE])
            rows = {key: drawn[(start + place) % DRAWN] for place, key in enumerate(keys)}
            if planted is not None and start <= planted < start + len(rows):
                rows[list(keys)[planted - start]] = query_rows
            cache.put_many(rows)


def growth_tables(found: Found) -> list[str]:
    """Return the medians, one column a number of candidates, and the exponents."""
    times = found["milliseconds"]
    counts = sorted({int(count) for counts in times.values() for count in counts})
    rows = []
    for name, taken in times.items():
        medians = {int(count): float(np.median(of_it)) for count, of_it in taken.items()}
        cells = [number(medians[count]) if count in medians else "" for count in counts]
        rows.append([name, *cells, f"{exponent(list(medians), list(medians.values())):.2f}"])
    heads = ["median, ms; candidates of about 200 tokens:", *(f"{count:,}" for count in counts), "exponent"]
    return table(heads, rows)


def growth_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge the bundled model, cold and warm, over the last tenfold, where candidates weigh more than what comes once a call."""
    times = results.get("growth", {}).get("milliseconds", {})
    bars = []
    for name in (COLD, WARM):
        medians = {int(count): float(np.median(taken)) for count, taken in times.get(name, {}).items()}
        last = {count: median for count, median in medians.items() if count * 10 >= max(medians)}
        value = exponent(list(last), list(last.values())) if last else None
        upwards = f"from {min(last):,} to {max(last):,}" if last else "over the last tenfold"
        bars.append(at_most(f"exponent of growth {upwards}, {name} (1 is linear)", LARGEST_EXPONENT, value))
    return bars
