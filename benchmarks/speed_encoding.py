"""How long the bundled model encodes documents, against answerai-colbert-small-v1: same library, documents, threads."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from interleaving import interleaved
from speed_choice import ANSWERAI
from speed_numbers import Bar, table, times_cells
from speed_texts import passages

from laterank import ColbertEncoder

__all__ = ["encoding_bars", "encoding_tables", "measure_encoding"]

Found = Mapping[str, Any]

REFERENCE = "answerai-colbert-small-v1 INT8"
AS_FAR = f"{REFERENCE}, read as far"
WARM_UP_DOCUMENTS = 8


def measure_encoding(options: argparse.Namespace) -> dict[str, Any]:
    """Time ``encode_documents`` of each model on real paragraphs of three lengths, in turn.

    The longest are cut by the reference's own setting: there it is measured as published and read to the same length, too.
    """
    models: dict[str, Path | str] = {"bundled model": "bundled"}
    models |= {name: Path(folder) for name, _, folder in (given.partition("=") for given in options.also)}
    models[REFERENCE] = options.models / ANSWERAI
    load = partial(ColbertEncoder.from_pretrained, threads=options.threads)
    encoders = {name: load(model) for name, model in models.items()}
    read_as_far = {"document_length": encoders["bundled model"].config.document_length}
    found = {}
    for kind in ("d50", "d200", "d400"):
        texts = passages(options.data, kind, options.documents)
        if any(encoders[REFERENCE].truncates(texts)):
            encoders[AS_FAR] = load(models[REFERENCE], config=read_as_far)
        for encoder in encoders.values():
            encoder.encode_documents(texts[:WARM_UP_DOCUMENTS])
        lengths = encoders["bundled model"].count_tokens(texts)
        calls = {name: partial(encoder.encode_documents, texts) for name, encoder in encoders.items()}
        found[kind] = {
            "documents": len(texts),
            "tokens_mean": float(np.mean(lengths)),
            "milliseconds": interleaved(calls, options.rounds),
        }
    return found


def encoding_tables(found: Found) -> list[str]:
    """Return times, and shares of the reference's: of the fastest, of the medians, and of the rounds' own ratios."""
    lines: list[str] = []
    for measured in found.values():
        times = measured["milliseconds"]
        reference = np.array(times[REFERENCE])
        rows = []
        for name, taken in times.items():
            ours = np.array(taken)
            shares = (
                ours.min() / reference.min(),
                np.median(ours) / np.median(reference),
                np.median(ours / reference),
            )
            rows.append([name, *times_cells(taken), *(f"{share:.2f}" for share in shares)])
        heads = [
            "model",
            "median, ms",
            "fastest",
            "slowest",
            "share of the fastest",
            "of the medians",
            "median of rounds",
        ]
        said = f"{measured['documents']} documents of {measured['tokens_mean']:.0f} tokens, all models through laterank."
        lines += [said, "", *table(heads, rows), ""]
    return lines


def encoding_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge nothing: the model's card and docs/measured.md state the ratios, which depend on the length."""
    del results
    return []
