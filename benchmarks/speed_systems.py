"""The rerankers that are compared, and the texts that they are given."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fastembed.common.model_description import DenseModelDescription, ModelSource
from fastembed.late_interaction import colbert
from numpy.typing import NDArray

from laterank import Reranker
from laterank.evaluation.lines import json_lines

__all__ = ["QUERY", "FastembedSystem", "LaterankSystem", "load_fastembed", "passages"]

Rows = NDArray[np.float32]

QUERY = "Which bridge was the longest of its time when it was opened?"
RANGES = {"d50": (35, 65), "d200": (150, 250)}
"""Tokens of the documents called d50 and d200."""
EXAMPLES = Path(__file__).parent.parent / "examples" / "data" / "abstracts.jsonl"
LOOKED_AT = 6_000


def passages(data: Path, kind: str, count: int, reranker: Reranker, seed: int = 0) -> list[str]:
    """Return real paragraphs of the kind's length in random order, cut out of longer ones where too few are there."""
    low, high = RANGES[kind]
    texts = _texts(data)
    random.Random(seed).shuffle(texts)
    fitting = _of_length(texts, low, high, reranker)
    if len(fitting) < count:
        words = random.Random(seed).choices(range(int(low * 0.7), int(high * 0.7)), k=len(texts))
        cut = [" ".join(text.split()[:most]) for text, most in zip(texts, words, strict=True)]
        fitting = list(dict.fromkeys(fitting + _of_length(cut, low, high, reranker)))
    if len(fitting) < count:
        raise SystemExit(f"{data} has only {len(fitting)} texts of {low} to {high} tokens, expected {count}")
    return fitting[:count]


def _texts(data: Path) -> list[str]:
    """Read paragraphs of Wikipedia where they are there, else the abstracts that the examples use."""
    source = data / "text" / "wikipedia.jsonl.gz"
    if source.is_file():
        return [record["text"] for _, record in itertools.islice(json_lines(source), LOOKED_AT)]
    return [json.loads(line)["text"] for line in EXAMPLES.read_text(encoding="utf-8").splitlines()]


def _of_length(texts: list[str], low: int, high: int, reranker: Reranker) -> list[str]:
    lengths = reranker.encoder.count_tokens(texts)  # type: ignore[attr-defined]  # not in the protocol
    return [text for text, length in zip(texts, lengths, strict=True) if low <= length <= high]


class LaterankSystem:
    """laterank as users call it, without a cache."""

    def __init__(self, model: Path | str, threads: int) -> None:
        self.reranker = Reranker.from_pretrained(model, cache=False, score="sum", threads=threads)

    def rank(self, query: str, documents: Sequence[str]) -> list[int]:
        """Encode and sort."""
        return [place.index for place in self.reranker.rank(query, documents)]

    def embed(self, query: str, documents: Sequence[str]) -> tuple[Rows, list[Rows]]:
        """Return the query's rows and the documents'."""
        encoder = self.reranker.encoder
        return encoder.encode_queries([query])[0], encoder.encode_documents(documents)


def load_fastembed(model: Path, threads: int) -> colbert.Colbert:
    """Make fastembed know the folder, since its ``add_custom_model`` takes no late interaction, and load it."""
    description = DenseModelDescription(
        model="benchmark/minilm-shape",
        dim=128,
        description="random weights",
        license="apache-2.0",
        size_in_GB=0.09,
        sources=ModelSource(url="unused"),
        model_file="model.onnx",
    )
    if all(known.model != description.model for known in colbert.supported_colbert_models):
        colbert.supported_colbert_models.append(description)
    return colbert.Colbert(description.model, specific_model_path=str(model), threads=threads)


class FastembedSystem:
    """fastembed's Colbert class on the same files, with the scoring loop that its users write."""

    def __init__(self, model: colbert.Colbert, batch_size: int) -> None:
        self._model = model
        self.batch_size = batch_size

    def rank(self, query: str, documents: Sequence[str]) -> list[int]:
        """Encode and sort."""
        query_rows, rows = self.embed(query, documents)
        scores = [(query_rows @ row.T).max(axis=1).sum() for row in rows]
        return [int(index) for index in np.argsort(-np.array(scores), kind="stable")]

    def embed(self, query: str, documents: Sequence[str]) -> tuple[Rows, list[Rows]]:
        """Return the query's rows and the documents'."""
        rows = [
            np.asarray(row, dtype=np.float32)
            for row in self._model.embed(list(documents), batch_size=self.batch_size)
        ]
        [query_rows] = (np.asarray(row, dtype=np.float32) for row in self._model.query_embed(query))
        return query_rows, rows
