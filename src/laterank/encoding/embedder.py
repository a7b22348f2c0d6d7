"""Tokens to token embeddings: batches, the network, projection, mask, truncation, normalisation and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from laterank.encoding.batching import CPU_BATCHING, GPU_BATCHING, Batching
from laterank.encoding.lazy import lazy
from laterank.encoding.projection import Projection, choose_projection, load_projection
from laterank.encoding.session import OnnxSession, Provider
from laterank.encoding.token_pooling import pool_rows
from laterank.encoding.tokenization import Tokens
from laterank.encoding.truncation import check_truncate_dim
from laterank.encoding.workers import Workers
from laterank.errors import EncodingError
from laterank.model.files import ModelFiles

__all__ = ["Embedder"]

Rows = NDArray[np.float32]


class Embedder:
    """A model's network and what comes after it. Threads may share one; the network is loaded at the first use."""

    def __init__(
        self,
        files: ModelFiles,
        *,
        truncate_dim: int | None,
        providers: Sequence[Provider] | None,
        threads: int,
        tokens_per_batch: int | None,
    ) -> None:
        """Load nothing yet.

        Args:
            files: The model.
            truncate_dim: Numbers to keep of each token embedding; None for all.
            providers: Execution providers in order of preference; None for the CPU.
            threads: Runs side by side on a CPU; other devices get one at a time.
            tokens_per_batch: The most tokens in one run; None for what is fastest.

        Raises:
            InputError: If the providers are none, or ``truncate_dim`` is more than the files say that the model has.
        """
        self._files = files
        self._truncate_dim = truncate_dim
        self._tokens_per_batch = tokens_per_batch
        # Single-threaded runs side by side beat one run on several threads (benchmarks/speed.py).
        self.session = OnnxSession(
            files.onnx,
            providers=providers,
            threads=1,
            output=files.config.output,
            on_load=files.refuse_change,
        )
        self._workers = Workers(threads if self.session.runs_on_cpu else 1)
        if truncate_dim is not None and (size := self.stated_dim) is not None:
            check_truncate_dim(truncate_dim, size=size, files=files)

    def rows(self, tokens: Sequence[Tokens], *, pool_factor: int = 1) -> list[Rows]:
        """Return the unit-length rows of each text's scored tokens.

        Args:
            tokens: One tokenised text each.
            pool_factor: How many tokens of a text share a row, on average; 1 for a row each.

        Returns:
            In the order of ``tokens``. *Shape:* ``(ceil(scored_tokens / pool_factor), dim)`` each

        Raises:
            EncodingError: If the model gives NaN or infinite numbers.
        """
        rows: list[Rows | None] = [None] * len(tokens)
        batches = list(self.batching.plan([len(text) for text in tokens]))

        def run(batch: Sequence[int]) -> list[Rows]:
            return [
                pool_rows(text_rows, pool_factor)
                for text_rows in self._run([tokens[index] for index in batch])
            ]

        encoded = self._workers.map(run, batches)
        for batch, batch_rows in zip(batches, encoded, strict=True):
            for index, text_rows in zip(batch, batch_rows, strict=True):
                rows[index] = text_rows
        return [text_rows for text_rows in rows if text_rows is not None]

    @lazy
    def dim(self) -> int:
        """Numbers in a token embedding.

        Raises:
            InputError: If ``truncate_dim`` is more than the model has.
        """
        if self._truncate_dim is None:
            return self._full_dim
        if self.stated_dim is None:  # no file told when this object was made
            check_truncate_dim(self._truncate_dim, size=self._full_dim, files=self._files)
        return self._truncate_dim

    @lazy
    def stated_dim(self) -> int | None:
        """Numbers in a whole token embedding as the files say, without loading the network; None where none does."""
        if self._files.config.embedding_size is not None:
            return self._files.config.embedding_size
        return self.projection.out_features if self.projection else None

    @lazy
    def projection(self) -> Projection | None:
        """What comes after the network; None where the graph has it."""
        projection = load_projection(self._files)
        self._files.refuse_change()
        return projection

    @lazy
    def batching(self) -> Batching:
        """Return how texts share runs.

        A graph that quantises activations over the whole batch gets one text a run: a text's rows must never depend on
        what happens to be beside it.
        """
        batching = CPU_BATCHING if self.session.runs_on_cpu else GPU_BATCHING
        if self._tokens_per_batch is not None:
            batching = replace(batching, tokens=self._tokens_per_batch)
        if self._files.graph_contains(b"DynamicQuantize"):
            batching = replace(batching, texts=1)
        return batching

    @lazy
    def _full_dim(self) -> int:
        size = self.session.output_size
        if size is None:
            size = self.session.run(np.zeros((1, 2), dtype=np.int64), np.ones((1, 2), dtype=bool)).shape[-1]
        projection = choose_projection(self.projection, self._files, size)
        return projection.out_features if projection else size

    def _run(self, batch: Sequence[Tokens]) -> list[Rows]:
        width = max(len(tokens) for tokens in batch)
        ids = np.zeros((len(batch), width), dtype=np.int64)
        attention = np.zeros((len(batch), width), dtype=bool)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens.ids
            attention[row, : len(tokens)] = tokens.attention
        states = self.session.run(ids, attention)
        return [self._unit_rows(states[row, : len(tokens)], tokens) for row, tokens in enumerate(batch)]

    def _unit_rows(self, states: Rows, tokens: Tokens) -> Rows:
        """Keep the scored tokens, project where the graph does not, truncate, and scale to unit length."""
        scored = states if tokens.scored.all() else states[tokens.scored]
        projection = choose_projection(self.projection, self._files, states.shape[-1])
        rows = projection(scored) if projection else scored
        if self._truncate_dim is not None:
            rows = rows[:, : self.dim]
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        if not np.isfinite(lengths).all():
            raise EncodingError(
                f"{self._files.onnx} gave NaN or infinite numbers for a text of {len(tokens)} tokens; "
                "the graph is broken or overflows in float16: try another onnx_file or quantized=False"
            )
        return np.asarray(rows / np.maximum(lengths, 1e-12)[:, None], dtype=np.float32)
