"""How fast reranking is, against fastembed with the same graph, documents and threads.

Run ``python benchmarks/speed.py --data FOLDER``; ``--encoding`` alone compares the embedded model's encoding time with
answerai-colbert-small-v1's. Repeats are interleaved, because a shared machine's speed drifts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from interleaving import interleaved
from speed_encoding import REFERENCE, measure_encoding, write_encoding_report
from speed_model import build_model
from speed_report import machine_facts, write_report
from speed_systems import QUERY, FastembedSystem, LaterankSystem, load_fastembed, passages

import laterank
from laterank import Reranker

HERE = Path(__file__).parent
TOKENIZER = Path(laterank.__file__).parent / "model" / "bundled" / "tokenizer.json"
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 256)
DEFAULT_BATCH_SIZE = 256
DOCUMENTS = 100
ANSWERAI = "answerai-colbert-small-v1-int8"


def difference(one: LaterankSystem, other: FastembedSystem, documents: list[str]) -> dict[str, Any]:
    """Compare the two systems' rows and rankings, so that a speed is of the same work."""
    query, rows = one.embed(QUERY, documents)
    other_query, other_rows = other.embed(QUERY, documents)
    return {
        "largest_difference_query": float(np.abs(query - other_query).max()),
        "largest_difference_documents": max(
            float(np.abs(a - b).max()) for a, b in zip(rows, other_rows, strict=True)
        ),
        "same_ranking": one.rank(QUERY, documents) == other.rank(QUERY, documents),
    }


def cold(model: Path, documents: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Time one query over documents that nobody has encoded yet."""
    loaded = load_fastembed(model, options.threads)
    ours, bundled = (LaterankSystem(which, options.threads) for which in (model, "bundled"))
    systems: dict[str, LaterankSystem | FastembedSystem] = {
        "laterank": ours,
        "laterank, bundled model": bundled,
    }
    systems |= {
        f"fastembed :{size}": FastembedSystem(loaded, size) for size in options.batch_size or BATCH_SIZES
    }
    for system in systems.values():
        system.rank(QUERY, documents[:4])
    calls = {name: partial(system.rank, QUERY, documents) for name, system in systems.items()}
    lengths = ours.reranker.encoder.count_tokens(documents)  # type: ignore[attr-defined]  # not in the protocol
    return {
        "tokens_mean": float(np.mean(lengths)),
        "tokens_range": [min(lengths), max(lengths)],
        "same": difference(ours, FastembedSystem(loaded, 1), documents[:20]),
        "milliseconds": interleaved(calls, options.rounds),
    }


def warm(model: Path | str, documents: list[str], options: argparse.Namespace) -> dict[str, list[float]]:
    """Time a ranking of cached documents and its query's encoding alone, in turn."""
    reranker = Reranker.from_pretrained(model, threads=options.threads)
    reranker.warm(documents)
    reranker.rank(QUERY, documents)
    calls: dict[str, Callable[[], object]] = {
        "rank": lambda: reranker.rank(QUERY, documents),
        "query": lambda: reranker.encoder.encode_queries([QUERY]),
    }
    return interleaved(calls, options.warm_rounds)


def peak_memory(system: str, kind: str, options: argparse.Namespace) -> float:
    """Return the most memory (MiB) that a process of its own takes for one cold ranking."""
    given = ["--threads", str(options.threads), "--data", str(options.data), "--build", str(options.build)]
    command = [sys.executable, __file__, *given, "--memory-of", system, "--kind", kind]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(finished.stdout.split()[-1])


def own_peak_mib() -> float:
    """Return this process's own peak; ``ru_maxrss`` alone would start at that of the process that started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def print_memory(model: Path, options: argparse.Namespace) -> None:
    """Rank once and print this process's peak: what the other process asks for."""
    texts = json.loads((options.build / f"{options.kind}.json").read_text(encoding="utf-8"))
    name, _, size = options.memory_of.partition(":")
    if name == "fastembed":
        FastembedSystem(load_fastembed(model, options.threads), int(size)).rank(QUERY, texts)
    else:
        LaterankSystem("bundled" if size else model, options.threads).rank(QUERY, texts)
    print(own_peak_mib())


def encoding(options: argparse.Namespace) -> None:
    """Compare encoding times, print them and write their report."""
    models: dict[str, Path | str] = {"embedded model": "bundled"}
    models |= {name: Path(folder) for name, _, folder in (given.partition("=") for given in options.also)}
    models[REFERENCE] = options.models / ANSWERAI
    results = measure_encoding(
        models, options.data, DOCUMENTS, options.threads, partial(interleaved, rounds=options.rounds)
    )
    command = shlex.join(["python", "benchmarks/speed.py", *sys.argv[1:]])
    print("\n".join(write_encoding_report(options.results, results, command)))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = HERE.parent.parent / "shared"
    parser.add_argument("--data", type=Path, default=shared / "data")
    parser.add_argument("--models", type=Path, default=shared / "models", help="folder of the other models")
    parser.add_argument("--encoding", action="store_true", help="only the comparison of encoding times")
    parser.add_argument(
        "--also", action="append", default=[], metavar="NAME=FOLDER", help="a further model to encode with"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm-rounds", type=int, default=100)
    parser.add_argument("--batch-size", type=int, action="append", help="fastembed's, instead of all")
    parser.add_argument("--build", type=Path, default=HERE / "build", help="where the model is written once")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=["d50", "d200"], help="only these documents")
    return parser.parse_args()


def main() -> None:
    """Measure everything and write the report."""
    options = arguments()
    if options.encoding:
        encoding(options)
        return
    model = build_model(options.build / "minilm-shape", TOKENIZER)
    if options.memory_of:
        print_memory(model, options)
        return
    chooser = Reranker.from_pretrained(model, threads=1)
    results: dict[str, Any] = {"machine": machine_facts(), "load_before": os.getloadavg()[0]}
    results |= {"threads": options.threads, "documents": DOCUMENTS, "cold": {}, "memory_mib": {}}
    for kind in [options.kind] if options.kind else ["d50", "d200"]:
        documents = passages(options.data, kind, DOCUMENTS, chooser)
        (options.build / f"{kind}.json").write_text(json.dumps(documents), encoding="utf-8")
        results["cold"][kind] = cold(model, documents, options)
        results["memory_mib"][kind] = {
            system: peak_memory(system, kind, options)
            for system in ("laterank", "laterank:bundled", "fastembed:1", f"fastembed:{DEFAULT_BATCH_SIZE}")
        }
        if kind == "d200":
            names: dict[str, Path | str] = {"fp32": model, "bundled": "bundled"}
            results["warm"] = {name: warm(which, documents, options) for name, which in names.items()}
        results["load_after"] = os.getloadavg()[0]
        write_report(options.results, results)
    if (options.models / ANSWERAI).is_dir():
        encoding(options)


if __name__ == "__main__":
    main()
