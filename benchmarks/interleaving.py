"""Timing several calls in turn, because a shared machine's speed drifts."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping

__all__ = ["interleaved"]


def interleaved(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return each call's milliseconds, all called once a round in random order."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in random.Random(number).sample(sorted(calls), len(calls)):
            gc.collect()
            start = time.perf_counter()
            calls[name]()
            times[name].append((time.perf_counter() - start) * 1e3)
        if rounds < 20:
            print(
                f"round {number + 1}", {name: round(taken[-1]) for name, taken in times.items()}, flush=True
            )
    return times
