"""The parts of the speed benchmark: what each measures, and how its numbers are shown and judged."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import speed_choice
import speed_cold
import speed_crowd
import speed_encoding
import speed_fidelity
import speed_growth
import speed_hundred_thousand
import speed_limit
import speed_maxsim
import speed_memory
import speed_sharing
import speed_start
import speed_store
import speed_warm
from speed_numbers import Bar

__all__ = ["EXTRA", "PARTS", "Part"]

Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Attributes:
        title: Its heading.
        measure: From the options to plain data.
        tables: From that data to lines of Markdown.
        bars: From all parts' data, as far as they were measured, to what is judged.
    """

    title: str
    measure: Callable[[argparse.Namespace], dict[str, Any]]
    tables: Callable[[Found], list[str]]
    bars: Callable[[Mapping[str, Found]], list[Bar]]


EXTRA = ("thousand", "hundred-thousand")
"""Parts that take minutes and have to be asked for."""

PARTS = {
    "fidelity": Part(
        "INT8 against fp32: the ranking",
        speed_fidelity.measure_fidelity,
        speed_fidelity.fidelity_tables,
        speed_fidelity.fidelity_bars,
    ),
    "cold": Part(
        "Cold: the same MiniLM-L6-shaped weights in all libraries",
        speed_cold.measure_cold,
        speed_cold.cold_tables,
        speed_cold.cold_bars,
    ),
    "limit": Part(
        "How far encoding is from the machine's limit",
        speed_limit.measure_limit,
        speed_limit.limit_tables,
        speed_limit.limit_bars,
    ),
    "thousand": Part(
        "Cold: ten times as many",
        speed_cold.measure_thousand,
        speed_cold.cold_tables,
        speed_cold.thousand_bars,
    ),
    "memory": Part(
        "Peak memory of a process that ranks once",
        speed_memory.measure_memory,
        speed_memory.memory_tables,
        speed_memory.memory_bars,
    ),
    "choice": Part(
        "What a user would choose",
        speed_choice.measure_choice,
        speed_choice.choice_tables,
        speed_choice.choice_bars,
    ),
    "warm": Part("Warm: rows on disk", speed_warm.measure_warm, speed_warm.warm_tables, speed_warm.warm_bars),
    "maxsim": Part(
        "MaxSim in memory",
        speed_maxsim.measure_maxsim,
        speed_maxsim.maxsim_tables,
        speed_maxsim.maxsim_bars,
    ),
    "start": Part(
        "The first call of a process",
        speed_start.measure_start,
        speed_start.start_tables,
        speed_start.start_bars,
    ),
    "threads": Part(
        "Threads that share a reranker",
        speed_sharing.measure_threads,
        speed_sharing.threads_tables,
        speed_sharing.threads_bars,
    ),
    "pool": Part(
        "Worker processes", speed_sharing.measure_pool, speed_sharing.pool_tables, speed_sharing.pool_bars
    ),
    "store": Part(
        "The cache on disk", speed_store.measure_store, speed_store.store_tables, speed_store.store_bars
    ),
    "crowd": Part(
        "One file, eight processes, kills",
        speed_crowd.measure_crowd,
        speed_crowd.crowd_tables,
        speed_crowd.crowd_bars,
    ),
    "growth": Part(
        "Latency against candidates",
        speed_growth.measure_growth,
        speed_growth.growth_tables,
        speed_growth.growth_bars,
    ),
    "hundred-thousand": Part(
        "100,000 candidates from disk",
        speed_hundred_thousand.measure_hundred_thousand,
        speed_hundred_thousand.hundred_thousand_tables,
        speed_hundred_thousand.hundred_thousand_bars,
    ),
    "encoding": Part(
        "Encoding time of the bundled model against answerai-colbert-small-v1",
        speed_encoding.measure_encoding,
        speed_encoding.encoding_tables,
        speed_encoding.encoding_bars,
    ),
}
