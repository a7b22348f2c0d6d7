"""The most memory that a process takes for one cold ranking, each in a process of its own.

``python speed_memory.py SYSTEM FOLDER THREADS`` reads documents as JSON from its standard input and prints mebibytes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speed_numbers import Bar, at_most, table
from speed_texts import QUERY, passages

__all__ = ["measure_memory", "memory_bars", "memory_tables", "own_peak_mib"]

Found = Mapping[str, Any]

LARGEST_MB = 450
SYSTEMS = ("bundled model", "laterank, fp32", "laterank, INT8", "fastembed :1", "fastembed :8")
MB_A_MIB = 2**20 / 1e6


def own_peak_mib() -> float:
    """Return this process's own peak; ``ru_maxrss`` alone would start at that of the process that started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_memory(options: argparse.Namespace) -> dict[str, Any]:
    """Rank the longer documents once with each system: few of them, and many where laterank does it."""
    from speed_model import minilm_colbert_folder  # not for the processes that are measured

    folder, peaks = minilm_colbert_folder(options.build), {}
    for count in (options.documents, options.documents * 10):
        texts = json.dumps(passages(options.data, "d200", count))
        systems = SYSTEMS if count == options.documents else SYSTEMS[:3]
        for system in systems:
            command = [sys.executable, __file__, system, str(folder), str(options.threads)]
            finished = subprocess.run(command, input=texts, check=True, stdout=subprocess.PIPE, text=True)
            peaks.setdefault(str(count), {})[system] = float(finished.stdout.split()[-1])
            print(count, system, peaks[str(count)][system], flush=True)
    return {"peak_mib": peaks}


def memory_tables(found: Found) -> list[str]:
    """Return each system's peak."""
    rows = [
        [count, system, f"{peak:.0f}", f"{peak * MB_A_MIB:.0f}"]
        for count, peaks in found["peak_mib"].items()
        for system, peak in peaks.items()
    ]
    said = "Interpreter, libraries and model included; laterank with its default cache, fastembed at a batch size."
    return [said, "", *table(["documents of about 200 tokens", "system", "peak, MiB", "MB"], rows)]


def memory_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge laterank with the most documents."""
    peaks = results.get("memory", {}).get("peak_mib", {})
    count = list(peaks)[-1] if peaks else "1000"
    return [
        at_most(
            f"peak memory, cold, d200 x {count}, {name}, MB",
            LARGEST_MB,
            peaks[count][name] * MB_A_MIB if peaks else None,
        )
        for name in SYSTEMS[:3]
    ]


def _rank_once(system: str, folder: Path, threads: int) -> None:
    """Rank what standard input holds, and print this process's peak."""
    texts = json.load(sys.stdin)
    if system.startswith("fastembed"):  # imported only where it is measured
        from speed_systems import FastembedSystem, load_fastembed

        FastembedSystem(load_fastembed(folder, 128, threads), int(system.split(":")[1])).scores(QUERY, texts)
    else:
        from laterank import Reranker

        options = {
            "bundled model": {},
            "laterank, fp32": {"quantized": False},
            "laterank, INT8": {"quantized": True},
        }
        model = "bundled" if system == "bundled model" else folder
        Reranker.from_pretrained(model, threads=threads, **options[system]).rank(QUERY, texts)
    print(own_peak_mib())


if __name__ == "__main__":
    _rank_once(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
