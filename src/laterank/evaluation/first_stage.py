"""What is reranked: the best documents of BM25, or of a run that was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from laterank.errors import CollectionError, InputError, MissingPackageError
from laterank.evaluation.collection import Collection, Ranking, ScoredRanking
from laterank.evaluation.judgements import read_scored_run

__all__ = ["FirstStage", "Run", "bm25_candidates", "first_stage", "run_candidates"]

Run: TypeAlias = Mapping[str, Sequence[str] | Mapping[str, float]] | str | PathLike[str]
"""Query to its documents, the best first, or to their scores, in any order, or the path of a TREC run file."""


@dataclass(frozen=True, slots=True)
class FirstStage:
    """What each query's ranking begins with.

    Attributes:
        name: What it is called.
        candidates: Each query's documents, the best first.
        scores: Theirs, in the same order; None for a run without any.
        notes: What is odd about it, for people.
    """

    name: str
    candidates: Ranking
    scores: Mapping[str, Sequence[float]] | None
    notes: tuple[str, ...] = ()


def first_stage(collection: Collection, run: Run | None, depth: int) -> FirstStage:
    """Return the first documents of a run, or of BM25 where there is none.

    Raises:
        InputError: If ``depth`` is less than 1.
        CollectionError: If the run cannot be read, or does not fit the collection.
    """
    if depth < 1:
        raise InputError(f"depth is {depth}, expected at least 1")
    if run is None:
        scored = _bm25(collection, depth)
        return FirstStage("BM25", _documents(scored), _scores(scored, _documents(scored)))
    if isinstance(run, Mapping):
        name, given = "first stage", run
    else:
        name, given = Path(run).name.removesuffix(".gz"), read_scored_run(Path(run))
    candidates, notes = run_candidates(collection, given, depth)
    return FirstStage(name, candidates, _scores(given, candidates), notes)


def bm25_candidates(collection: Collection, depth: int) -> Ranking:
    """Return each query's best documents, best first, by bm25s with its defaults and English stop words.

    The whole collection is searched. bm25s implements BM25 in Lucene's variant (Lù 2024, arXiv 2407.03618).

    Raises:
        MissingPackageError: If bm25s is not installed.
    """
    return _documents(_bm25(collection, depth))


def run_candidates(
    collection: Collection, run: Mapping[str, Sequence[str] | Mapping[str, float]], depth: int
) -> tuple[Ranking, tuple[str, ...]]:
    """Return the first documents of each of the collection's queries in a run, and what is odd about it.

    Raises:
        CollectionError: If the run has a document that the corpus lacks, or none of the queries.
    """
    candidates = {query: _best_first(run.get(query, ()))[:depth] for query in collection.queries}
    for query, documents in candidates.items():
        for document in documents:
            if document not in collection.documents:
                raise CollectionError(
                    f"the run's document {document!r} of query {query!r} is not in the corpus; "
                    "without its text it cannot be reranked"
                )
    without = [query for query, documents in candidates.items() if not documents]
    if len(without) == len(candidates):
        raise CollectionError(
            f"the run has none of the queries: it has {next(iter(run), 'nothing')!r}, "
            f"the collection {next(iter(collection.queries), 'nothing')!r}"
        )
    if not without:
        return candidates, ()
    return candidates, (f"Queries that the run has no documents for: {len(without):,}, such as {without[0]}",)


def _bm25(collection: Collection, depth: int) -> ScoredRanking:
    try:
        import bm25s
    except ImportError as error:
        raise MissingPackageError(
            "BM25 as the first stage needs bm25s; install it with: pip install 'laterank[evaluate]', or pass a run"
        ) from error
    ids = list(collection.documents)
    index = bm25s.BM25()
    texts = list(collection.documents.values())
    index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
    asked = bm25s.tokenize(list(collection.queries.values()), stopwords="en", show_progress=False)
    found, scores = index.retrieve(asked, k=min(depth, len(ids)), show_progress=False, n_threads=1)
    return {
        query: {ids[index]: float(score) for index, score in zip(row, row_scores, strict=True)}
        for query, row, row_scores in zip(collection.queries, found, scores, strict=True)
    }


def _best_first(found: Sequence[str] | Mapping[str, float]) -> list[str]:
    if isinstance(found, Mapping):
        return sorted(found, key=found.__getitem__, reverse=True)
    return list(dict.fromkeys(found))


def _documents(scored: ScoredRanking) -> Ranking:
    return {query: list(documents) for query, documents in scored.items()}


def _scores(
    run: Mapping[str, Sequence[str] | Mapping[str, float]], candidates: Ranking
) -> dict[str, list[float]] | None:
    """Return the candidates' scores; None where a query's documents have none."""
    scores: dict[str, list[float]] = {}
    for query, documents in candidates.items():
        given = run.get(query, {})
        if not isinstance(given, Mapping):
            return None
        scores[query] = [given[document] for document in documents]
    return scores
