"""Reranking: cached document rows, encoded where they are missing, scored by MaxSim, sorted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from laterank.cache.choose import CacheChoice, choose_cache
from laterank.cache.lookup import DocumentRows
from laterank.cache.warming import Progress, Warmed, warm
from laterank.checks import (
    check_queries,
    check_query,
    check_texts,
    checked_threshold,
    checked_top_n,
    documents_names,
)
from laterank.early_exit import EarlyExit
from laterank.encoding.encoder import ColbertEncoder
from laterank.encoding.protocol import Encoder, EncoderWithWorkers, encoded_queries
from laterank.encoding.session import Provider
from laterank.errors import InputError, InputTypeError
from laterank.fusion import FusionKind, checked_fusion, checked_scores
from laterank.long_documents import LongDocumentKind, LongDocuments
from laterank.model.config import ColbertConfig
from laterank.model.files import BUNDLED
from laterank.ranking import RankedDocument, best
from laterank.scale import Scale, ScoreKind
from laterank.sums import DocumentSums

if TYPE_CHECKING:
    from typing_extensions import Self

    from laterank.explanation.ranking import RankingExplanation
    from laterank.explanation.single import Explanation

__all__ = ["RankedDocument", "Reranker"]


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

    def __init__(
        self,
        encoder: Encoder,
        *,
        cache: CacheChoice = True,
        score: ScoreKind = "mean",
        long_documents: LongDocumentKind = "truncate",
        window_overlap: float = 0.25,
    ) -> None:
        """Make a reranker of an encoder; ``from_pretrained`` finds a model by name.

        Args:
            encoder: The model.
            cache: Where documents' rows are kept: True for 256 MiB of memory, a path for a file that outlives the process,
                False or None for nowhere, or a cache, such as ``SqliteCache(path, max_bytes=...)``.
            score: ``"mean"`` divides MaxSim by the query's rows, so that scores lie in [-1, 1] whatever the query's length;
                ``"sum"`` is the literature's raw MaxSim; ``"probability"`` is how probable it is that the document is
                relevant, for models that ship a calibration. The ranking is the same.
            long_documents: What happens to documents that are longer than the model reads: ``"truncate"`` cuts their end off
                and says so in the ranking; ``"windows"`` reads them whole, in windows, and scores the best one; ``"error"``
                refuses them.
            window_overlap: The share of a window that the next one repeats, in [0, 1).

        Raises:
            InputError: If an option is none of these, the model ships no calibration, or the encoder cannot tell long
                documents and they are not to be truncated.
            CacheError: If the cache's file is damaged, something else, or cannot be made.
            ModelFormatError: If its calibration is broken.
        """
        if not all(callable(getattr(encoder, name, None)) for name in ("encode_queries", "encode_documents")):
            raise InputTypeError(
                f"encoder is {type(encoder).__name__}, expected an Encoder; Reranker.from_pretrained() takes a model's name"
            )
        self.encoder = encoder
        self.cache = choose_cache(cache)
        self._scale = Scale(score, encoder)
        self._long = LongDocuments(long_documents, encoder, window_overlap)
        self._loaded_in: int | None = None

    @classmethod
    def from_pretrained(
        cls,
        model: str | PathLike[str] = BUNDLED,
        *,
        cache: CacheChoice = True,
        score: ScoreKind = "mean",
        long_documents: LongDocumentKind = "truncate",
        window_overlap: float = 0.25,
        revision: str | None = None,
        config: ColbertConfig | Mapping[str, Any] | None = None,
        onnx_file: str | None = None,
        quantized: bool | None = None,
        truncate_dim: int | None = None,
        pool_factor: int | None = None,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        workers: int | None = None,
        device_ids: Sequence[int] | None = None,
        worker_timeout_seconds: float = 600.0,
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
            long_documents: ``"truncate"``, ``"windows"`` (score the best window of a document that is longer than the model
                reads) or ``"error"``.
            window_overlap: The share of a window that the next one repeats, in [0, 1).
            revision: A branch, tag or commit of the hub's repository.
            config: Single settings that correct the model's files, or a ``ColbertConfig`` in place of them.
            onnx_file: The graph to use, relative to the model.
            quantized: True for the INT8 graph, False for full precision, None for full precision where there is one.
            truncate_dim: Keep the first numbers of each token embedding only, for models trained for it; None for all.
            pool_factor: How many tokens of a document share a row, on average: 2 halves the cache (token pooling, arXiv
                2409.14683); None or 1 for a row each.
            providers: Execution providers in order of preference, such as ``["cuda"]``; None for the CPU.
            threads: Threads to use, by all workers together; None for every usable processor.
            workers: Processes that encode many documents side by side; 0 for none, None for one on each device.
            device_ids: Devices of the providers, such as ``[0, 1]`` for two GPUs, which the workers take in turn; None for
                the providers' own choice.
            worker_timeout_seconds: How long a worker may encode one piece, some thousand tokens, before another does it.
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
            pool_factor=pool_factor,
            providers=providers,
            threads=threads,
            workers=workers,
            device_ids=device_ids,
            worker_timeout_seconds=worker_timeout_seconds,
            tokens_per_batch=tokens_per_batch,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(
            encoder, cache=cache, score=score, long_documents=long_documents, window_overlap=window_overlap
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self.encoder.name

    @property
    def score(self) -> ScoreKind:
        """Which score it gives."""
        return self._scale.kind

    @property
    def long_documents(self) -> LongDocumentKind:
        """What happens to documents that are longer than the model reads."""
        return self._long.kind

    @property
    def window_overlap(self) -> float:
        """The share of a window that the next one repeats."""
        return self._long.overlap

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        score_threshold: float | None = None,
        fusion: FusionKind | None = None,
        fusion_weight: float = 0.5,
        first_stage_scores: Sequence[float] | None = None,
        budget: int | None = None,
        patience: int | None = None,
    ) -> list[RankedDocument]:
        """Sort documents by how well they answer a query.

        Args:
            query: The question.
            documents: The candidates, in any order; with ``fusion``, ``budget`` or ``patience`` the most promising first, as
                retrievers give them.
            top_n: How many to return; None for all.
            score_threshold: Leave out documents with a lower score, in the unit of ``score``; None for none.
            fusion: Mix this ranking with the first stage's: ``"rrf"`` by reciprocal ranks, ``"weighted"`` by scores; None
                for this ranking alone. Scores, and the threshold, stay the reranker's.
            fusion_weight: The reranker's share, from 0 (the first stage's order) to 1 (the reranker's).
            first_stage_scores: The first stage's, higher for better, one for each document; None where the documents come
                in the first stage's order, which ``"rrf"`` needs no more than.
            budget: Encode at most so many documents, the first ones; None for all. What the cache has is always scored.
            patience: Stop encoding after so many in a row that did not reach the best ``top_n``; None to go on to the end.

        Returns:
            The best first; equal scores in the caller's order; then what was not scored, in the caller's order, with
            ``scored=False``; blank documents last. Both of these have the lowest score there is.

        Raises:
            InputError: If the query is blank, a number is less than 1, the fusion lacks something or is to mix what an early
                exit leaves out, ``patience`` comes without ``top_n``, or a document is too long and ``long_documents`` is
                ``"error"``.
            InputTypeError: If the query or a document is no string, naming its position.
        """
        check_query(query, "query")
        check_texts(documents, "documents")
        [ranking] = self.rank_many(
            [query],
            [documents],
            top_n=top_n,
            score_threshold=score_threshold,
            fusion=fusion,
            fusion_weight=fusion_weight,
            first_stage_scores=None if first_stage_scores is None else [first_stage_scores],
            budget=budget,
            patience=patience,
        )
        return ranking

    def rank_many(
        self,
        queries: Sequence[str],
        documents_per_query: Sequence[Sequence[str]],
        *,
        top_n: int | None = None,
        score_threshold: float | None = None,
        fusion: FusionKind | None = None,
        fusion_weight: float = 0.5,
        first_stage_scores: Sequence[Sequence[float]] | None = None,
        budget: int | None = None,
        patience: int | None = None,
    ) -> list[list[RankedDocument]]:
        """Sort each query's documents.

        Args:
            queries: The questions.
            documents_per_query: Each query's candidates.
            top_n: How many to return of each; None for all.
            score_threshold: Leave out documents with a lower score, in the unit of ``score``; None for none.
            fusion: As for ``rank``.
            fusion_weight: As for ``rank``.
            first_stage_scores: As for ``rank``, one list a query.
            budget: As for ``rank``, for each query; what an earlier query had encoded is in the cache.
            patience: As for ``rank``.

        Returns:
            One ranking a query, as ``rank`` gives it.

        Raises:
            InputError: If there are not as many lists as queries, or for what ``rank`` raises it.
            InputTypeError: If a query or a document is no string, naming its position.
        """
        top_n, score_threshold = checked_top_n(top_n), checked_threshold(score_threshold)
        early = EarlyExit(top_n, budget, patience)
        check_queries(queries, documents_per_query)
        mixing = checked_fusion(fusion, fusion_weight)
        if mixing and early.on:
            raise InputError(
                "fusion mixes two rankings of every document, and budget or patience leave some unread: use one of them"
            )
        first_scores = checked_scores(mixing, first_stage_scores, documents_per_query)
        asked = [position for position, documents in enumerate(documents_per_query) if len(documents)]
        texts = [queries[position] for position in asked]
        names = documents_names(len(queries))
        pieces = [self._long.pieces(documents_per_query[position], names[position]) for position in asked]
        encoded = encoded_queries(self.encoder, texts) if asked else []
        document_sums = self._sums
        all_sums = document_sums.of(encoded, pieces, early)
        rankings: list[list[RankedDocument]] = [[] for _ in queries]
        counts = self._scale.count_tokens(texts)
        for position, query, tokens, piece, piece_sums in zip(
            asked, encoded, counts, pieces, all_sums, strict=True
        ):
            sums = piece.best(piece_sums)
            scores = self._scale.scores(sums, query_rows=len(query), query_tokens=tokens)
            fused = mixing.of(sums, first_scores[position]) if mixing else None
            ranking = best(sums, scores, top_n=top_n, score_threshold=score_threshold, fused=fused)
            ranking = piece.marked(ranking, piece_sums)
            rankings[position] = self._long.marked(
                ranking, documents_per_query[position], document_sums.counts
            )
        return rankings

    def explain(self, query: str, document: str) -> Explanation:
        """Say which token of the document each token of the query met, and what it adds to the score.

        Args:
            query: The question.
            document: One candidate; its score is the one that ``rank`` gives it.

        Raises:
            InputError: If the query is blank, the encoder cannot tell its tokens, or the document is too long and
                ``long_documents`` is ``"error"``.
            InputTypeError: If either is no string.
        """
        check_query(query, "query")
        if not isinstance(document, str):
            raise InputTypeError(f"document is {type(document).__name__}, expected a string")
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
        from laterank.explanation.ranking import explained_ranking  # of which ranking needs nothing

        most = checked_top_n(top_n) or len(documents)
        order = [place.index for place in self.rank(query, documents)]
        shown = list(dict.fromkeys([*order[:most], *range(min(most, len(documents)))]))
        found = self._explained(query, [documents[index] for index in shown])
        explained = dict(zip(shown, found, strict=True))
        return explained_ranking(query, order, explained, model=self.name, scale=self.score, top_n=most)

    def _explained(self, query: str, documents: Sequence[str]) -> list[Explanation]:
        from laterank.explanation.explain import explain_documents

        self._long.pieces(documents)  # too long a document is refused here, too
        return explain_documents(
            query,
            documents,
            encoder=self.encoder,
            scale=self._scale,
            document_rows=self._rows.of,
            document_windows=self._long.windows,
        )

    def load(self) -> None:
        """Load the network now instead of at the first call, so that a service starts slowly rather than answers slowly.

        Raises:
            ModelFormatError: If the graph is broken.
            ProviderError: If onnxruntime or a provider that was asked for is missing.
        """
        if self._loaded_in != os.getpid():  # a forked process loads its own
            self.encoder.encode_queries(["load"])
            if self.cache is not None:
                self._rows.keys([])  # reads the model's files whole, to know its rows among others
            self._loaded_in = os.getpid()
        if isinstance(self.encoder, EncoderWithWorkers):  # which may have been closed since
            self.encoder.start_workers()

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

        def read(piece: Sequence[str], first: int) -> Sequence[str]:
            return self._long.pieces(piece, first=first).texts

        return warm(self._rows, documents, read=read, progress=progress, total=total)

    def close(self) -> None:
        """End the encoder's worker processes, where it has some; a later call starts others. The cache stays open."""
        if isinstance(self.encoder, EncoderWithWorkers):
            self.encoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded_in": None}

    @property
    def _rows(self) -> DocumentRows:
        return DocumentRows(self.encoder, self.cache)

    @property
    def _sums(self) -> DocumentSums:
        return DocumentSums(self.encoder, self._rows)
