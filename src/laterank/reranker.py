"""Reranking: cached document rows, encoded where they are missing, scored by MaxSim, sorted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laterank.cache.choose import CacheChoice, choose_cache
from laterank.cache.lookup import DocumentRows
from laterank.cache.warming import Progress, Warmed, warm
from laterank.checks import (
    check_queries,
    check_query,
    check_texts,
    checked_threshold,
    checked_top_n,
    is_blank,
)
from laterank.encoding.encoder import ColbertEncoder
from laterank.encoding.protocol import Encoder
from laterank.encoding.session import Provider
from laterank.errors import CacheError, InputTypeError
from laterank.explanation.explain import explain_documents
from laterank.explanation.ranking import RankingExplanation, explained_ranking
from laterank.explanation.single import Explanation
from laterank.model.config import ColbertConfig
from laterank.model.files import BUNDLED
from laterank.ranking import RankedDocument, best
from laterank.rows import StoredRows
from laterank.scale import Scale, ScoreKind
from laterank.scoring import maxsim

__all__ = ["RankedDocument", "Reranker"]

Rows = NDArray[np.float32]

DOCUMENTS_AT_ONCE = 1024
"""Documents whose rows are held at one time, so that 10,000 candidates take no more memory than 1,000."""


class Reranker:
    """Puts the documents that answer a query first, by late interaction.

    Threads and tasks may share one. A document is encoded once and then scored from the cache.

    Examples:
        >>> from laterank import Reranker
        >>> reranker = Reranker.from_pretrained()
        >>> documents = ["Venus is Earth's twin in size.", "Mars is known as the Red Planet."]
        >>> best, _ = reranker.rank("Which planet is the Red Planet?", documents)
        >>> documents[best.index]
        'Mars is known as the Red Planet.'
    """

    def __init__(self, encoder: Encoder, *, cache: CacheChoice = True, score: ScoreKind = "mean") -> None:
        """Make a reranker of an encoder; ``from_pretrained`` finds a model by name.

        Args:
            encoder: The model.
            cache: Where documents' rows are kept: True for 256 MiB of memory, a path for a file that outlives the process,
                False or None for nowhere, or a cache, such as ``SqliteCache(path, max_bytes=...)``.
            score: ``"mean"`` divides MaxSim by the query's rows, so that scores lie in [-1, 1] whatever the query's length;
                ``"sum"`` is the literature's raw MaxSim; ``"probability"`` is how probable it is that the document is
                relevant, for models that ship a calibration. The ranking is the same.

        Raises:
            InputError: If ``score`` or ``cache`` is none of these, or the model ships no calibration.
            CacheError: If the cache's file is damaged, something else, or cannot be made.
            ModelFormatError: If its calibration is broken.
        """
        if not hasattr(encoder, "encode_queries"):
            raise InputTypeError(
                f"encoder is {type(encoder).__name__}, expected an Encoder; Reranker.from_pretrained() takes a model's name"
            )
        self.encoder = encoder
        self.cache = choose_cache(cache)
        self._scale = Scale(score, encoder)
        self._loaded_in: int | None = None

    @classmethod
    def from_pretrained(
        cls,
        model: str | PathLike[str] = BUNDLED,
        *,
        cache: CacheChoice = True,
        score: ScoreKind = "mean",
        revision: str | None = None,
        config: ColbertConfig | Mapping[str, Any] | None = None,
        onnx_file: str | None = None,
        quantized: bool | None = None,
        truncate_dim: int | None = None,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        tokens_per_batch: int | None = None,
        cache_dir: str | PathLike[str] | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
    ) -> Reranker:
        """Find a model by name and make a reranker of it.

        Args:
            model: ``"bundled"``, a hub id such as ``"answerdotai/answerai-colbert-small-v1"``, or a local folder.
            cache: Where documents' rows are kept: True for 256 MiB of memory, a path for a file that outlives the process,
                False or None for nowhere, or a cache, such as ``SqliteCache(path, max_bytes=...)``.
            score: ``"mean"`` (in [-1, 1]), ``"sum"`` (raw MaxSim) or ``"probability"`` (in [0, 1], for models that ship a
                calibration).
            revision: A branch, tag or commit of the hub's repository.
            config: Single settings that correct the model's files, or a ``ColbertConfig`` in place of them.
            onnx_file: The graph to use, relative to the model.
            quantized: True for the INT8 graph, False for full precision, None for full precision where there is one.
            truncate_dim: Keep the first numbers of each token embedding only, for models trained for it; None for all.
            providers: Execution providers in order of preference, such as ``["cuda"]``; None for the CPU.
            threads: Threads to use; None for every usable processor.
            tokens_per_batch: The most tokens in one run, which bounds the memory; None for what is fastest.
            cache_dir: The hub's cache on disk; None for the one that ``HF_HOME`` names.
            local_files_only: Never use the network.
            token: The hub's access token.

        Raises:
            ModelNotFoundError: If there is no such model, or it is out of reach.
            ModelFormatError: If files are missing, broken or contradict each other.
            InputError: If an option has a value that cannot work, such as ``score="probability"`` for a model without
                a calibration.
        """
        encoder = ColbertEncoder.from_pretrained(
            model,
            revision=revision,
            config=config,
            onnx_file=onnx_file,
            quantized=quantized,
            truncate_dim=truncate_dim,
            providers=providers,
            threads=threads,
            tokens_per_batch=tokens_per_batch,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(encoder, cache=cache, score=score)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.encoder.name

    @property
    def score(self) -> ScoreKind:
        """Which score it gives."""
        return self._scale.kind

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        score_threshold: float | None = None,
    ) -> list[RankedDocument]:
        """Sort documents by how well they answer a query.

        Args:
            query: The question.
            documents: The candidates, in any order.
            top_n: How many to return; None for all.
            score_threshold: Leave out documents with a lower score, in the unit of ``score``; None for none.

        Returns:
            The best first; equal scores in the caller's order; blank documents last, with the lowest score there is.

        Raises:
            InputError: If the query is blank or ``top_n`` is less than 1.
            InputTypeError: If the query or a document is no string, naming its position.
        """
        check_query(query, "query")
        check_texts(documents, "documents")
        [ranking] = self.rank_many([query], [documents], top_n=top_n, score_threshold=score_threshold)
        return ranking

    def rank_many(
        self,
        queries: Sequence[str],
        documents_per_query: Sequence[Sequence[str]],
        *,
        top_n: int | None = None,
        score_threshold: float | None = None,
    ) -> list[list[RankedDocument]]:
        """Sort each query's documents.

        Args:
            queries: The questions.
            documents_per_query: Each query's candidates.
            top_n: How many to return of each; None for all.
            score_threshold: Leave out documents with a lower score, in the unit of ``score``; None for none.

        Returns:
            One ranking a query, as ``rank`` gives it.

        Raises:
            InputError: If there are not as many lists as queries, a query is blank or ``top_n`` is less than 1.
            InputTypeError: If a query or a document is no string, naming its position.
        """
        top_n, score_threshold = checked_top_n(top_n), checked_threshold(score_threshold)
        check_queries(queries, documents_per_query)
        asked = [position for position, documents in enumerate(documents_per_query) if len(documents)]
        texts = [queries[position] for position in asked]
        encoded = self.encoder.encode_queries(texts) if asked else []
        all_sums = self._sums(encoded, [documents_per_query[position] for position in asked])
        rankings: list[list[RankedDocument]] = [[] for _ in queries]
        counts = self._scale.count_tokens(texts)
        for position, query, tokens, sums in zip(asked, encoded, counts, all_sums, strict=True):
            scores = self._scale.scores(sums, query_rows=len(query), query_tokens=tokens)
            rankings[position] = best(sums, scores, top_n=top_n, score_threshold=score_threshold)
        return rankings

    def explain(self, query: str, document: str) -> Explanation:
        """Say which token of the document each token of the query met, and what it adds to the score.

        Args:
            query: The question.
            document: One candidate; its score is the one that ``rank`` gives it.

        Raises:
            InputError: If the query is blank, or the encoder cannot tell its tokens.
            InputTypeError: If either is no string.
        """
        check_query(query, "query")
        check_texts([document], "documents")
        return self._explained(query, [document])[0]

    def explain_ranking(self, query: str, documents: Sequence[str], *, top_n: int = 10) -> RankingExplanation:
        """Say which documents moved, by how much, and why.

        Args:
            query: The question.
            documents: The candidates in the order that the first stage gave them.
            top_n: How many of the best to show; those that were among as many before are shown, too.

        Raises:
            InputError: If the query is blank, ``top_n`` is less than 1, or the encoder cannot tell its tokens.
            InputTypeError: If the query or a document is no string, naming its position.
        """
        most = checked_top_n(top_n) or len(documents)
        order = [place.index for place in self.rank(query, documents)]
        shown = list(dict.fromkeys([*order[:most], *range(min(most, len(documents)))]))
        found = self._explained(query, [documents[index] for index in shown])
        explained = dict(zip(shown, found, strict=True))
        return explained_ranking(query, order, explained, model=self.name, scale=self.score, top_n=most)

    def _explained(self, query: str, documents: Sequence[str]) -> list[Explanation]:
        encoder, rows = self.encoder, self._rows.of
        return explain_documents(query, documents, encoder=encoder, scale=self._scale, document_rows=rows)

    def load(self) -> None:
        """Load the network now instead of at the first call, so that a service starts slowly rather than answers slowly.

        Raises:
            ModelFormatError: If the graph is broken.
            ProviderError: If onnxruntime or a provider that was asked for is missing.
        """
        if self._loaded_in != os.getpid():  # a forked process loads its own
            self.encoder.encode_queries(["load"])
            self._loaded_in = os.getpid()

    def warm(
        self, documents: Iterable[str], *, progress: Progress = False, total: int | None = None
    ) -> Warmed:
        """Encode documents into the cache, so that the first query over them is as fast as the next.

        What the cache has already is skipped: run it again after an interruption, or over a corpus that has grown.

        Args:
            documents: Any iterable; it is read piece by piece, in the memory of one piece.
            progress: True for a bar where stderr is a terminal, or a function that is given a ``Warmed`` now and then.
            total: How many there are, for the bar; None for what ``len(documents)`` says.

        Returns:
            How many were read, how many had to be encoded, and how many were known.

        Raises:
            InputError: If this reranker has no cache.
            InputTypeError: If a document is no string.
        """
        return warm(self._rows, documents, progress=progress, total=total)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded_in": None}

    @property
    def _rows(self) -> DocumentRows:
        return DocumentRows(self.encoder, self.cache)

    # --- scores -------------------------------------------------------------------------------------------------------

    def _sums(self, queries: Sequence[Rows], documents_per_query: Sequence[Sequence[str]]) -> list[Rows]:
        """Return raw MaxSim, encoding each distinct text once, however many queries have it.

        Returns:
            Minus infinity for a document without anything to score. *Shape:* ``(documents,)`` for each query
        """
        sum_of: list[dict[str, float]] = [{} for _ in queries]
        askers: dict[str, list[int]] = {}
        for asker, documents in enumerate(documents_per_query):
            for text in dict.fromkeys(documents):
                if not is_blank(text):
                    askers.setdefault(text, []).append(asker)
        to_score = list(askers)
        threads = getattr(
            self.encoder, "threads", None
        )  # an encoder of the caller's may have no such setting
        for start in range(0, len(to_score), DOCUMENTS_AT_ONCE):
            piece = to_score[start : start + DOCUMENTS_AT_ONCE]
            mine: dict[int, dict[str, StoredRows]] = {}
            for text, rows in zip(piece, self._rows.of(piece), strict=True):
                if len(rows):
                    for asker in askers[text]:
                        mine.setdefault(asker, {})[text] = rows
            for asker, rows_of in mine.items():
                sums = maxsim(queries[asker], list(rows_of.values()), threads=threads)
                if not np.isfinite(sums).all():
                    raise CacheError(
                        f"a score of {self.name} is not finite: the cache holds broken rows; clear it"
                    )
                sum_of[asker].update(zip(rows_of, sums.tolist(), strict=True))
        return [
            np.array([found.get(text, -np.inf) for text in documents], dtype=np.float32)
            for found, documents in zip(sum_of, documents_per_query, strict=True)
        ]
