"""MaxSim in memory against maxsim-cpu, and a warm call from disk against the encoding of its query alone.

Run ``python benchmarks/maxsim.py --data FOLDER``. Repeats are interleaved, so the ratios hold where the times do not.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import maxsim_cpu
import numpy as np
from interleaving import interleaved
from numpy.typing import NDArray
from speed_model import build_model
from speed_report import machine_facts
from speed_systems import QUERY, passages

import laterank
from laterank import Reranker, SqliteCache, maxsim
from laterank.cache.codec import decode_rows, encode_rows

HERE = Path(__file__).parent
TOKENIZER = Path(laterank.__file__).parent / "model" / "bundled" / "tokenizer.json"
STORAGES = ("float32", "float16", "int8")
PEER = "maxsim-cpu"
QUERY_ROWS = 32

Rows = NDArray[np.float32]


def unit_rows(count: int, dim: int, rng: np.random.Generator) -> Rows:
    """Return rows of random direction."""
    rows = rng.standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def in_memory(dim: int, options: argparse.Namespace) -> dict[str, Any]:
    """Time 1000 documents of 150 to 250 rows in each storage, and compare the scores with exact arithmetic."""
    rng = np.random.default_rng(0)
    query = unit_rows(QUERY_ROWS, dim, rng)
    documents = [unit_rows(int(length), dim, rng) for length in rng.integers(150, 250, 1000)]
    kept = {
        storage: [decode_rows(encode_rows(rows, storage, key=b""), key=b"") for rows in documents]  # type: ignore[arg-type]
        for storage in STORAGES
    }
    calls: dict[str, Callable[[], Any]] = {PEER: lambda: maxsim_cpu.maxsim_scores_variable(query, documents)}
    for storage, rows in kept.items():
        calls[storage] = lambda rows=rows: maxsim(query, rows, threads=options.threads)  # type: ignore[misc]
    return {
        "largest_error_of_the_mean": {
            storage: float(np.abs(calls[storage]() - exact(query, rows)).max() / QUERY_ROWS)
            for storage, rows in kept.items()
        },
        "milliseconds": interleaved(calls, options.rounds),
    }


def exact(query: Rows, documents: list[Any]) -> NDArray[np.float64]:
    """Score rows as they are stored, by the definition and in double precision."""
    columns = query.T.astype(np.float64)
    return np.array([(np.asarray(rows, dtype=np.float64) @ columns).max(axis=0).sum() for rows in documents])


def from_disk(model: Path | str, count: int, options: argparse.Namespace) -> dict[str, list[float]]:
    """Time a ranking whose rows are read from the file each time, and its query's encoding, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        cache = SqliteCache(Path(folder) / "rows", memory_bytes=0)
        with cache:
            reranker = Reranker.from_pretrained(model, threads=options.threads, cache=cache)
            documents = passages(options.data, "d200", count, reranker)
            reranker.warm(documents)
            calls: dict[str, Callable[[], object]] = {
                "call": lambda: reranker.rank(QUERY, documents),
                "query": lambda: reranker.encoder.encode_queries([QUERY]),
            }
            interleaved(calls, 1)
            return interleaved(calls, options.rounds)


def report(results: dict[str, Any], command: str) -> str:
    """Return the tables: the fastest round and, in brackets, the median ratio of rounds that lie next to each other."""
    load = " to ".join(f"{load:.1f}" for load in results["load"])
    lines = [f"`{command}`; load {load} on {results['machine']['cores']} cores.", ""]
    lines += [
        "| 1000 documents, 32 query rows | ms | times as fast as maxsim-cpu | largest error of the mean |",
        "|---|---|---|---|",
    ]
    for dim, found in results["in_memory"].items():
        times, peer = found["milliseconds"], np.array(found["milliseconds"][PEER])
        for name, taken in times.items():
            ratio = f"{peer.min() / min(taken):.1f} ({np.median(peer / np.array(taken)):.1f})"
            error = found["largest_error_of_the_mean"].get(name)
            said = "" if error is None else f"{error:.1e}"
            lines.append(f"| {name}, {dim} numbers a row | {min(taken):.1f} | {ratio} | {said} |")
    lines += [
        "",
        "| candidates of about 200 tokens, rows on disk | call, ms | query alone, ms | ratio |",
        "|---|---|---|---|",
    ]
    for name, times in results["from_disk"].items():
        call, query = np.array(times["call"]), np.array(times["query"])
        ratio = f"{call.min() / query.min():.1f} ({np.median(call / query):.1f})"
        lines.append(f"| {name} | {call.min():.1f} | {query.min():.1f} | {ratio} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument(
        "--build", type=Path, default=HERE / "build", help="where the fp32 model is written once"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--only-bundled", action="store_true", help="leave out the fp32 model")
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": machine_facts(), "threads": options.threads, "from_disk": {}}
    before = os.getloadavg()[0]
    results["in_memory"] = {dim: in_memory(dim, options) for dim in (128, 96)}
    models: dict[str, Path | str] = {"bundled model": "bundled"}
    if not options.only_bundled:
        models["MiniLM-L6 shape, fp32"] = build_model(options.build / "minilm-shape", TOKENIZER)
    for name, model in models.items():
        for count in (100, 1000):
            results["from_disk"][f"{name}, {count}"] = from_disk(model, count, options)
    results["load"] = [before, os.getloadavg()[0]]
    text = report(results, shlex.join(["python", "benchmarks/maxsim.py", *sys.argv[1:]]))
    (options.results / "maxsim.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (options.results / "maxsim.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
