"""Warm: a ranking whose rows are read from the file each time, against the encoding of its query alone."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from interleaving import interleaved
from speed_cold import FP32, INT8, PEERS
from speed_model import minilm_colbert_folder
from speed_numbers import Bar, at_least, at_most, best, speed_up, table, times_cells
from speed_texts import QUERY, passages

from laterank import Reranker, SqliteCache

__all__ = ["measure_warm", "warm_bars", "warm_tables"]

Found = Mapping[str, Any]

BUNDLED = "bundled model"


def measure_warm(options: argparse.Namespace) -> dict[str, Any]:
    """Time few and many documents of about 200 tokens with each model; the memory tier is off."""
    folder = minilm_colbert_folder(options.build)
    models: dict[str, dict[str, Any]] = {
        BUNDLED: {},
        FP32: {"model": folder, "quantized": False},
        INT8: {"model": folder, "quantized": True},
    }
    documents = passages(options.data, "d200", options.documents * 10)
    found: dict[str, Any] = {name: {} for name in models}
    for name, chosen in models.items():
        with (
            tempfile.TemporaryDirectory() as place,
            SqliteCache(Path(place) / "rows", memory_bytes=0) as cache,
        ):
            reranker = Reranker.from_pretrained(**chosen, threads=options.threads, cache=cache)
            reranker.warm(documents)
            for count in (options.documents, options.documents * 10):
                found[name][str(count)] = _timed(reranker, documents[:count], options.warm_rounds)
    return found


def _timed(reranker: Reranker, documents: list[str], rounds: int) -> dict[str, list[float]]:
    """Time the whole call and the query's encoding, in turn; each call is by a reranker that has not seen the documents."""
    encoder, cache = reranker.encoder, reranker.cache
    calls: dict[str, Callable[[], object]] = {
        "call": lambda: Reranker(encoder, cache=cache).rank(QUERY, documents),
        "query": lambda: reranker.encoder.encode_queries([QUERY]),
    }
    for call in calls.values():
        call()
    return interleaved(calls, rounds)


def warm_tables(found: Found) -> list[str]:
    """Return call and query side by side."""
    rows = []
    for name, counts in found.items():
        for count, times in counts.items():
            ratio, fastest = speed_up(times["call"], times["query"])
            call, query = times_cells(times["call"])[:2], times_cells(times["query"])[:2]
            rows.append([name, count, *call, *query, f"{ratio:.2f} ({fastest:.2f})"])
    heads = ["model", "documents", "call, median ms", "fastest", "query alone, median ms", "fastest", "ratio"]
    return [
        "Documents of about 200 tokens; hashing, SQLite, query encoding, MaxSim.",
        "",
        *table(heads, rows),
    ]


def warm_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge against the query's encoding, and against the best peer, which has to encode again."""
    found, bars = results.get("warm", {}), []
    for place, limit in ((0, 2), (1, 6)):
        for name in (BUNDLED, FP32, INT8):
            count, times = _at(found, name, place)
            ratio = speed_up(times["call"], times["query"]) if times else None
            bars.append(at_most(f"warm from disk, {count}, {name}, against its query alone", limit, ratio))
    for place, part, limit in ((0, "cold", 250), (1, "thousand", 1000)):
        peers = results.get(part, {}).get("d200", {}).get("milliseconds", {})
        peer = best(peers, PEERS)
        for name in (FP32, INT8):
            count, times = _at(found, name, place)
            ratio = speed_up(peers[peer], times["call"]) if times and peer else None
            bars.append(
                at_least(
                    f"warm from disk, {count}, {name}, against {peer or 'the best peer'}, which encodes",
                    limit,
                    ratio,
                )
            )
    return bars


def _at(found: Found, name: str, place: int) -> tuple[str, dict[str, list[float]]]:
    """Return the smaller or the larger number of documents, and its times."""
    counts: dict[str, dict[str, list[float]]] = found.get(name, {})
    if not counts:
        return ("100", "1000")[place], {}
    return list(counts.items())[place]
