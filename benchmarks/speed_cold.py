"""Cold: one query over documents that nobody has encoded, the same MiniLM-L6 weights in laterank, fastembed and PyLate."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from interleaving import interleaved
from speed_fidelity import why_void
from speed_model import DIM, minilm_colbert_folder
from speed_numbers import Bar, at_least, best, speed_up, table, times_cells
from speed_systems import (
    FASTEMBED_DEFAULT,
    PYLATE_DEFAULT,
    FastembedSystem,
    LaterankSystem,
    PylateProcess,
    PylateSystem,
    System,
    load_fastembed,
)
from speed_texts import QUERY, passages

__all__ = [
    "FP32",
    "INT8",
    "PEERS",
    "cold_bars",
    "cold_tables",
    "measure_cold",
    "measure_thousand",
    "minilm_systems",
    "thousand_bars",
]

Found = Mapping[str, Any]
Results = Mapping[str, Found]

FP32, INT8 = "laterank, fp32", "laterank, INT8"
PEERS = ("fastembed", "PyLate")
PYLATE_SIZES = (8, PYLATE_DEFAULT)


def minilm_systems(options: argparse.Namespace, fastembed: Sequence[int]) -> dict[str, System]:
    """Return laterank in both precisions, fastembed at some batch sizes, and PyLate where there is one."""
    folder, threads = minilm_colbert_folder(options.build), options.threads
    systems: dict[str, System] = {
        FP32: _laterank(folder, threads, quantized=False),
        INT8: _laterank(folder, threads, quantized=True),
    }
    loaded = _fastembed(folder, threads=threads)
    systems |= {f"fastembed :{size}": FastembedSystem(loaded, size) for size in fastembed}
    if options.pylate:
        process = _pylate(options.pylate, folder / "pylate", threads)
        systems |= {f"PyLate :{size}": PylateSystem(process, size) for size in PYLATE_SIZES}
    return systems


# Loaded once for all parts that measure them.
_fastembed = cache(partial(load_fastembed, dim=DIM))
_laterank = cache(LaterankSystem)
_pylate = cache(PylateProcess)


def _differences(systems: Mapping[str, System], documents: list[str]) -> dict[str, float]:
    """Return each full-precision system's largest difference of a raw score to ours, so that a speed is of the same work."""
    ours = systems[FP32].scores(QUERY, documents)
    return {
        name: float(np.abs(system.scores(QUERY, documents) - ours).max())
        for name, system in systems.items()
        if name not in (FP32, INT8)
    }


def _timed(
    systems: Mapping[str, System], documents: list[str], rounds: int, options: argparse.Namespace
) -> dict[str, Any]:
    differences = _differences(systems, documents[:20])
    systems[INT8].scores(QUERY, documents[:4])
    versions = next(
        (system.versions for system in systems.values() if isinstance(system, PylateSystem)), None
    )
    lengths = systems[INT8].reranker.encoder.count_tokens(documents)  # type: ignore[attr-defined]
    calls = {name: partial(system.scores, QUERY, documents) for name, system in systems.items()}
    return {
        "documents": len(documents),
        "tokens_mean": float(np.mean(lengths)),
        "tokens_range": [min(lengths), max(lengths)],
        "largest_difference_of_a_score": differences,
        "pylate": versions,
        "milliseconds": interleaved(calls, rounds),
    }


def measure_cold(options: argparse.Namespace) -> dict[str, Any]:
    """Time 100 documents of about 50 and of about 200 tokens."""
    systems = minilm_systems(options, options.batch_sizes)
    return {
        kind: _timed(systems, passages(options.data, kind, options.documents), options.rounds, options)
        for kind in ("d50", "d200")
    }


def measure_thousand(options: argparse.Namespace) -> dict[str, Any]:
    """Time ten times as many documents of about 200 tokens, fastembed at its best two batch sizes."""
    systems = minilm_systems(options, [1, 8])
    documents = passages(options.data, "d200", options.documents * 10)
    return {"d200": _timed(systems, documents, options.thousand_rounds, options)}


def cold_tables(found: Found) -> list[str]:
    """Return a table for each length of documents."""
    lines: list[str] = []
    for measured in found.values():
        times, low_high = measured["milliseconds"], "-".join(map(str, measured["tokens_range"]))
        differences = measured["largest_difference_of_a_score"]
        lines += [
            f"{measured['documents']} documents of {measured['tokens_mean']:.0f} tokens ({low_high}):",
            "",
        ]
        peer = best(times, PEERS)
        rows = []
        for name, taken in times.items():
            ratio = speed_up(times[peer], taken)[0] if peer else None
            difference = f"{differences[name]:.1e}" if name in differences else ""
            rows.append(
                [_named(name), *times_cells(taken), "" if ratio is None else f"{ratio:.2f}", difference]
            )
        heads = [
            "system",
            "median, ms",
            "fastest",
            "slowest",
            f"times as fast as {peer}",
            "largest difference of a sum",
        ]
        lines += [*table(heads, rows), ""]
        versions = measured["pylate"]
        said = ", ".join(f"{package} {version}" for package, version in (versions or {}).items())
        lines += [
            said + "." if said else "PyLate is not installed here: `--pylate PYTHON` names one that has it.",
            "",
        ]
    return lines


def _named(name: str) -> str:
    defaults = {f"fastembed :{FASTEMBED_DEFAULT}", f"PyLate :{PYLATE_DEFAULT}"}
    return f"{name}, its default" if name in defaults else name


def cold_bars(results: Results) -> list[Bar]:
    """Judge both precisions against the best peer."""
    return [
        bar
        for kind, fp32, int8 in (("d50", 1.6, 3.3), ("d200", 1.2, 2.4))
        for bar in _bars(results, "cold", kind, PEERS, fp32, int8)
    ]


def thousand_bars(results: Results) -> list[Bar]:
    """Judge both precisions against each peer."""
    return [
        bar
        for peer, fp32, int8 in (("PyLate", 1.3, 3.0), ("fastembed :8", 2.3, 5.5))
        for bar in _bars(results, "thousand", "d200", peer, fp32, int8)
    ]


def _bars(
    results: Results, part: str, kind: str, peers: str | tuple[str, ...], fp32: float, int8: float
) -> list[Bar]:
    """Compare with the fastest of some peers."""
    measured: Found = results.get(part, {}).get(kind, {})
    times: Mapping[str, Sequence[float]] = measured.get("milliseconds", {})
    peer = best(times, peers)
    against = peer or (peers if isinstance(peers, str) else "the best peer")
    said = f"cold, {kind} x {measured.get('documents', 100 if part == 'cold' else 1000)}"
    return [
        at_least(
            f"{said}, {name} against {against}",
            limit,
            speed_up(times[peer], times[name]) if peer else None,
            void,
        )
        for name, limit, void in ((FP32, fp32, ""), (INT8, int8, why_void(results)))
    ]
