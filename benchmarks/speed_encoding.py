"""How long the embedded model encodes documents, against answerai-colbert-small-v1: same library, documents, threads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from speed_report import machine_facts
from speed_systems import passages

from laterank import Reranker

__all__ = ["REFERENCE", "measure_encoding", "write_encoding_report"]

Calls = Mapping[str, Callable[[], object]]
Times = Mapping[str, Sequence[float]]

REFERENCE = "answerai-colbert-small-v1 INT8"
WARM_UP_DOCUMENTS = 8


def measure_encoding(
    models: Mapping[str, Path | str],
    data: Path,
    documents: int,
    threads: int,
    interleaved: Callable[[Calls], Times],
) -> dict[str, Any]:
    """Time ``encode_documents`` of each model on real paragraphs of two lengths, in turn.

    Args:
        models: Folder, or the bundled model's name, by label; the reference last.
        data: Where the paragraphs are.
        documents: How many of each length.
        threads: The same for all.
        interleaved: Calls all in turn and returns each call's milliseconds.
    """
    encoders = {
        name: Reranker.from_pretrained(model, cache=False, threads=threads).encoder
        for name, model in models.items()
    }
    results: dict[str, Any] = {"machine": machine_facts(), "threads": threads, "documents": documents}
    results |= {"load_before": os.getloadavg()[0], "encoding": {}}
    for kind in ("d50", "d200"):
        texts = passages(data, kind, documents, Reranker.from_pretrained(threads=1))
        for encoder in encoders.values():
            encoder.encode_documents(texts[:WARM_UP_DOCUMENTS])
        lengths = {
            name: float(np.mean(encoder.count_tokens(texts)))  # type: ignore[attr-defined]  # not in the protocol
            for name, encoder in encoders.items()
        }
        calls = {name: partial(encoder.encode_documents, texts) for name, encoder in encoders.items()}
        results["encoding"][kind] = {"tokens_mean": lengths, "milliseconds": interleaved(calls)}
    return results | {"load_after": os.getloadavg()[0]}


def ratios(times: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """Return a model's time as a share of the reference's: of the fastest, of the medians, and of the rounds' own ratios.

    A shared machine's speed drifts; the two of one round ran within seconds of each other.
    """
    ours, theirs = np.array(times), np.array(reference)
    return {
        "fastest": float(ours.min() / theirs.min()),
        "median": float(np.median(ours) / np.median(theirs)),
        "median_of_rounds": float(np.median(ours / theirs)),
    }


def write_encoding_report(folder: Path, results: Mapping[str, Any], command: str) -> list[str]:
    """Write ``encoding.json`` with every single time and ``encoding.md``, and return the latter's lines."""
    machine = results["machine"]
    vectors, load = ", ".join(machine["vector_extensions"]), (results["load_before"], results["load_after"])
    lines = [
        "# Encoding time",
        "",
        f"{machine['processor']} ({vectors}), {machine['cores']} cores, {results['threads']} threads;",
        f"laterank {machine['laterank']}, onnxruntime {machine['onnxruntime']}.",
        f"The machine was shared (load {load[0]:.1f} before, {load[1]:.1f} after): read the ratios.",
        "All models through laterank, nothing cached, in turn; times in ms, and as shares of the last model's.",
        "",
        f"Command: `{command}`",
    ]
    for kind, found in results["encoding"].items():
        times, tokens = found["milliseconds"], found["tokens_mean"][REFERENCE]
        rounds = len(times[REFERENCE])
        lines += [
            "",
            f"## {results['documents']} documents of {tokens:.0f} tokens ({kind}), {rounds} rounds",
            "",
        ]
        lines += [
            "| model | fastest | median | slowest | share of the fastest | of the medians | median of rounds |"
        ]
        lines += ["|---" * 7 + "|"]
        for name, taken in times.items():
            share = ratios(taken, times[REFERENCE]).values()
            spread = (min(taken), float(np.median(taken)), max(taken))
            cells = [*(f"{value:.0f}" for value in spread), *(f"{value:.2f}" for value in share)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encoding.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / "encoding.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return lines
