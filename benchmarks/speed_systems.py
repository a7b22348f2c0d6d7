"""The rerankers that are compared: laterank, fastembed and PyLate, each giving raw MaxSim of a list of texts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from fastembed.common.model_description import DenseModelDescription, ModelSource
from fastembed.late_interaction import colbert
from numpy.typing import NDArray

from laterank import Reranker

__all__ = [
    "FASTEMBED_DEFAULT",
    "PYLATE_DEFAULT",
    "FastembedSystem",
    "LaterankSystem",
    "PylateProcess",
    "PylateSystem",
    "System",
    "load_fastembed",
]

Scores = NDArray[np.float32]
FASTEMBED_DEFAULT, PYLATE_DEFAULT = 256, 32
"""The batch sizes that the peers take unless they are told another."""
SERVER = Path(__file__).parent / "pylate_server.py"


class System(Protocol):
    """What is timed: one query over documents that nobody has encoded yet."""

    def scores(self, query: str, documents: Sequence[str]) -> Scores:
        """Return raw MaxSim. *Shape:* ``(len(documents),)``"""


class LaterankSystem:
    """laterank as users call it, without a cache."""

    def __init__(self, model: Path | str, threads: int, **options: Any) -> None:
        self.reranker = Reranker.from_pretrained(model, cache=False, score="sum", threads=threads, **options)

    def scores(self, query: str, documents: Sequence[str]) -> Scores:
        """Rank."""
        found = np.empty(len(documents), dtype=np.float32)
        for place in self.reranker.rank(query, documents):
            found[place.index] = place.score
        return found


def load_fastembed(model: Path, dim: int, threads: int) -> colbert.Colbert:
    """Make fastembed know the folder, since its ``add_custom_model`` takes no late interaction, and load it."""
    description = DenseModelDescription(
        model=f"benchmark/{model.name}",
        dim=dim,
        description="written for the benchmark",
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

    def scores(self, query: str, documents: Sequence[str]) -> Scores:
        """Encode and score."""
        rows = self._model.embed(list(documents), batch_size=self.batch_size)
        [query_rows] = self._model.query_embed(query)
        return np.array([(query_rows @ row.T).max(axis=1).sum() for row in rows], dtype=np.float32)


class PylateProcess:
    """PyLate in an interpreter of its own, which loads the weights once and answers on a pipe until that closes."""

    def __init__(self, python: str, folder: Path, threads: int) -> None:
        command = [python, str(SERVER), str(folder), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.versions: dict[str, str] = self._read()
        self._sent: dict[tuple[str, ...], int] = {}

    def scores(self, query: str, documents: Sequence[str], batch_size: int) -> Scores:
        """Ask for scores of documents, which travel only once: a call that is timed sends a number."""
        texts = tuple(documents)
        if texts not in self._sent:
            self._sent[texts] = int(self._ask({"documents": texts}))
        found = self._ask({"query": query, "list": self._sent[texts], "batch_size": batch_size})
        return np.array(found, dtype=np.float32)

    def _ask(self, request: dict[str, Any]) -> Any:
        if self._process.stdin is None:
            raise SystemExit("PyLate's process has no pipe")
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit(f"PyLate's process ended with {self._process.wait()}; its messages stand above")
        return json.loads(line)


class PylateSystem:
    """PyLate at one batch size."""

    def __init__(self, process: PylateProcess, batch_size: int) -> None:
        self._process, self.versions, self.batch_size = process, process.versions, batch_size

    def scores(self, query: str, documents: Sequence[str]) -> Scores:
        """Encode and score."""
        return self._process.scores(query, documents, self.batch_size)
