"""The map from score to probability of relevance, fitted on development queries for each dimension that ships."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from data import Example
from encode import OnnxEncoder, maxsim
from probability import expected_calibration_error, fit_calibration, probabilities, results

DIAGRAM_BINS = 60  # narrow ones: few candidates are relevant, and the likely ones are what people look at
FITTED_ON = (
    "BM25's 30 best passages for {queries} held-out queries: WikiQA and medical questions, Wikipedia headings and "
    "sentences, sentences of technical prose and of biomedical abstracts, whose titles ask, too, each kind counting alike"
)


def truncated(rows: np.ndarray, dim: int) -> np.ndarray:
    """Keep the first ``dim`` numbers and give rows unit length again. *Shape:* ``(tokens, dim)``."""
    cut: np.ndarray = rows[:, :dim].astype(np.float32)
    unit: np.ndarray = cut / np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), 1e-12)
    return unit


def scored_pairs(encoder: OnnxEncoder, dev: list[Example], dims: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Score every candidate of every development query.

    *Shape:* ``(pairs,)`` each; ``sums`` has a row for every dimension: ``(dims, pairs)``
    """
    texts = list(dict.fromkeys(text for made in dev for text in made.documents))
    documents = dict(zip(texts, encoder.documents(texts), strict=True))
    columns: dict[str, list[Any]] = {"sums": [], "tokens": [], "labels": [], "query": [], "source": []}
    names = sorted({made.source for made in dev})
    for number, (made, query) in enumerate(zip(dev, encoder.queries([m.query for m in dev]), strict=True)):
        found = [documents[text] for text in made.documents]
        columns["sums"].append(
            [maxsim(truncated(query, dim), [truncated(rows, dim) for rows in found]) for dim in dims]
        )
        columns["labels"].extend(float(i in made.relevant) for i in range(len(found)))
        columns["tokens"].extend([len(query)] * len(found))
        columns["query"].extend([number] * len(found))
        columns["source"].extend([names.index(made.source)] * len(found))
    stacked = {name: np.array(values) for name, values in columns.items() if name != "sums"}
    return stacked | {"sums": np.concatenate(columns["sums"], axis=1)}


def crossfitted(pairs: dict[str, np.ndarray], sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Predict each half of the queries by the map fitted on the other half. *Shape:* ``(pairs,)``."""
    predicted = np.zeros(len(sums))
    for half in (0, 1):
        here = pairs["query"] % 2 == half
        entry = fit_calibration(
            sums[~here],
            pairs["tokens"][~here],
            pairs["tokens"][~here],
            pairs["labels"][~here],
            weights[~here],
        )
        predicted[here] = probabilities(entry, sums[here], pairs["tokens"][here], pairs["tokens"][here])
    return predicted


def calibrate_relevance(
    encoder: OnnxEncoder, dev: list[Example], dims: tuple[int, ...], work: Path
) -> dict[str, Any]:
    """Return the content of ``calibration.json``; the diagram's data goes into the work folder."""
    pairs = scored_pairs(encoder, dev, dims)
    counts = np.bincount(pairs["source"])
    weights = 1.0 / counts[pairs["source"]]
    entries: dict[str, dict[str, Any]] = {}
    for dim, sums in zip(dims, pairs["sums"], strict=True):
        predicted = crossfitted(pairs, sums, weights)
        fitted = fit_calibration(sums, pairs["tokens"], pairs["tokens"], pairs["labels"], weights)
        entries[str(dim)] = fitted | {
            "fitted_on": FITTED_ON.format(queries=len(dev)),
            "expected_calibration_error": round(expected_calibration_error(predicted, pairs["labels"]), 4),
        }
        if dim == max(dims):
            diagram = results(predicted, pairs["labels"], DIAGRAM_BINS)
            (work / "calibration_diagram.json").write_text(json.dumps(diagram, indent=1), encoding="utf-8")
    full = entries.pop(str(max(dims)))
    return full | {"dims": {dim: without_format(entry) for dim, entry in entries.items()}}


def without_format(entry: dict[str, Any]) -> dict[str, Any]:
    """Drop what only the whole file declares."""
    return {name: value for name, value in entry.items() if name != "format"}
