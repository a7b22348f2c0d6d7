"""The machine's facts and the tables of the speed benchmark."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["machine_facts", "write_report"]

PACKAGES = ("laterank", "fastembed", "onnxruntime", "numpy", "tokenizers")
COMMAND = "python benchmarks/speed.py"


def machine_facts() -> dict[str, Any]:
    """Return what a timing depends on: processor, usable cores, versions."""
    names = Path("/proc/cpuinfo")
    lines = names.read_text(encoding="utf-8").splitlines() if names.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return {
        "processor": models[0] if models else platform.processor(),
        "vector_extensions": [
            flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_int8") if flag in flags
        ],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def write_report(folder: Path, results: Mapping[str, Any]) -> None:
    """Write ``speed.json`` with every single time and ``speed.md`` with the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "speed.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    lines = ["# Speed", "", *_preface(results)]
    for kind, found in results["cold"].items():
        lines += ["", *_cold(kind, found, results["documents"])]
    lines += ["", *_memory(results["memory_mib"])]
    if "warm" in results:
        lines += ["", *_warm(results["warm"], results["documents"])]
    (folder / "speed.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _preface(results: Mapping[str, Any]) -> list[str]:
    machine = results["machine"]
    versions = ", ".join(f"{package} {machine[package]}" for package in PACKAGES)
    extensions = ", ".join(machine["vector_extensions"])
    load = f"load {results['load_before']:.1f} before, {results['load_after']:.1f} after"
    return [
        f"{machine['processor']} ({extensions}), {machine['cores']} cores, {results['threads']} threads;",
        f"Python {machine['python']}, {versions}.",
        f"The machine was shared ({load}): read the ratios. All systems take turns; times in ms.",
        "",
        f"Command: `{COMMAND}`",
    ]


def _cold(kind: str, found: Mapping[str, Any], documents: int) -> list[str]:
    times, low_high = found["milliseconds"], found["tokens_range"]
    peers = {name: taken for name, taken in times.items() if name.startswith("fastembed")}
    best = min(peers, key=lambda name: min(peers[name]))
    default = "fastembed :256" if "fastembed :256" in peers else best
    size = f"{found['tokens_mean']:.0f} tokens ({low_high[0]}-{low_high[1]})"
    lines = [
        f"## Cold: one query, {documents} documents of {size} encoded and scored",
        "",
        f"The same fp32 graph in both ({_same(found['same'])}); `:n` is fastembed's batch size, 256 its default.",
        "",
        f"| system | fastest | median | slowest | fastest, against {best} | against {default} | medians, against {best} | against {default} |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, taken in times.items():
        ratios = [f(peers[peer]) / f(taken) for f in (min, np.median) for peer in (best, default)]
        spread = f"{min(taken):.0f} | {np.median(taken):.0f} | {max(taken):.0f}"
        lines.append(f"| {name} | {spread} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")
    return lines


def _same(same: Mapping[str, Any]) -> str:
    largest = max(same["largest_difference_query"], same["largest_difference_documents"])
    return f"rows differ by at most {largest:.1e}, ranking {'the same' if same['same_ranking'] else 'NOT the same'}"


def _memory(memory: Mapping[str, Mapping[str, float]]) -> list[str]:
    systems = list(next(iter(memory.values())))
    lines = [
        "## Peak memory (MiB) of a process that ranks once",
        "",
        f"| documents | {' | '.join(systems)} |",
    ]
    lines.append("|---" * (len(systems) + 1) + "|")
    for kind, found in memory.items():
        lines.append(f"| {kind} | {' | '.join(f'{found[system]:.0f}' for system in systems)} |")
    return lines


def _warm(warm: Mapping[str, Mapping[str, Sequence[float]]], documents: int) -> list[str]:
    lines = [
        f"## Warm: the same {documents} d200 documents from the cache",
        "",
        "| model | ranking, fastest (median) | its query's encoding, fastest (median) | the rest, fastest (median) |",
        "|---|---|---|---|",
    ]
    for name, times in warm.items():
        rank, query = (np.array(times[part]) for part in ("rank", "query"))
        cells = [
            (rank.min(), np.median(rank)),
            (query.min(), np.median(query)),
            (rank.min() - query.min(), np.median(rank) - np.median(query)),
        ]
        lines.append(f"| {name} | {' | '.join(f'{low:.1f} ({middle:.1f})' for low, middle in cells)} |")
    return lines
