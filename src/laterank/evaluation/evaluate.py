"""Does reranking help? Every measure before and after, how sure it is, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import numpy as np

from laterank.errors import InputError
from laterank.evaluation.collection import Collection, Ranking
from laterank.evaluation.evaluation import Evaluation, SystemResult
from laterank.evaluation.first_stage import bm25_candidates, run_candidates
from laterank.evaluation.judgements import read_run
from laterank.evaluation.machine import package_versions, processor
from laterank.evaluation.measures import MEASURES, QueryValues, measured_values, parsed_measures
from laterank.evaluation.models import Models, named_rerankers
from laterank.evaluation.reading import GivenPath, read_collection
from laterank.evaluation.reranking import Timing, rerank_collection, time_queries
from laterank.evaluation.statistics import summarise
from laterank.progress import told_progress

__all__ = ["DEPTH", "Run", "evaluate", "first_stage"]

DEPTH = 100
"""Candidates a query, as is usual for rerankers."""
TIMED_QUERIES = 5

Run: TypeAlias = Mapping[str, Sequence[str]] | str | PathLike[str]
"""Query to its documents, the best first, or the path of a TREC run file."""


def evaluate(
    collection: Collection | GivenPath,
    models: Models = "bundled",
    *,
    run: Run | None = None,
    depth: int = DEPTH,
    queries: int | None = None,
    measures: Sequence[str] = MEASURES,
    timed_queries: int = TIMED_QUERIES,
    progress: bool = False,
) -> Evaluation:
    """Measure whether reranking helps on judged queries, with several models side by side.

    Args:
        collection: What ``read_collection`` gives, or the folder that it reads.
        models: Names, folders or rerankers; ``"bundled,truncate_dim=64"`` names a model with settings. A reranker is measured
            as it is, with its cache.
        run: The first stage's results; None for BM25 over the whole collection.
        depth: How many candidates a query has at most.
        queries: Measure a seeded sample of so many queries; None for all.
        measures: Such as ``nDCG@10``, ``MRR@10``, ``Recall@100``, ``MAP@10``, ``P@5``, ``Success@1``; the first is the one
            that decides.
        timed_queries: How many queries are timed, one at a time; 0 for none.
        progress: True for a bar on standard error, where that is a terminal.

    Raises:
        InputError: If an argument has a value that cannot work, or nothing was judged.
        CollectionError: If a file cannot be read, or the run does not fit the collection.
        ModelNotFoundError: If there is no such model.
        MissingPackageError: If ``laterank[evaluate]`` is not installed.
    """
    parsed_measures(measures)
    if timed_queries < 0:
        raise InputError(f"timed_queries is {timed_queries}, expected at least 0")
    given = (collection if isinstance(collection, Collection) else read_collection(collection)).judged()
    if not given.queries:
        raise InputError(f"the collection {given.name} has no judgements; compare() does without")
    rerankers = named_rerankers(models)
    asked = given.sample(queries) if queries is not None else given
    stage, candidates, notes = first_stage(asked, run, depth)
    if stage in rerankers:
        raise InputError(
            f"a model is called {stage!r}, as the first stage is; pass a mapping with other names"
        )
    values: dict[str, QueryValues] = {stage: measured_values(asked, candidates, measures)}
    steps = (len(candidates) + timed_queries) * len(rerankers)
    with told_progress(steps, shown=progress, what="reranking", unit="query") as tell:
        for name, reranker in rerankers.items():
            ranking = rerank_collection(reranker, asked, candidates, tell=tell)
            values[name] = measured_values(asked, ranking, measures)
        timings = time_queries(rerankers, asked, candidates, timed_queries, tell=tell)
    return Evaluation(
        collection=given.name,
        documents=len(given.documents),
        queries=len(asked.queries),
        first_stage=stage,
        depth=depth,
        reachable=_reachable(asked, candidates, depth),
        measures=tuple(measures),
        systems=_summarised(given.name, values, timings),
        notes=(*given.notes, *_sampled(given, asked), *notes),
        made_with={"processor": processor(), **package_versions()},
    )


def first_stage(collection: Collection, run: Run | None, depth: int) -> tuple[str, Ranking, tuple[str, ...]]:
    """Return the first stage's name, its candidates, and what is odd about them.

    Raises:
        InputError: If ``depth`` is less than 1.
        CollectionError: If the run cannot be read, or does not fit the collection.
    """
    if depth < 1:
        raise InputError(f"depth is {depth}, expected at least 1")
    if run is None:
        return "BM25", bm25_candidates(collection, depth), ()
    if isinstance(run, Mapping):
        return "first stage", *run_candidates(collection, run, depth)
    path = Path(run)
    return path.name.removesuffix(".gz"), *run_candidates(collection, read_run(path), depth)


def _summarised(
    collection: str, values: Mapping[str, QueryValues], timings: Mapping[str, Timing]
) -> tuple[SystemResult, ...]:
    """Compare every system with the first stage and with the first model."""
    summaries, _ = summarise({collection: values}, list(values)[:2])
    return tuple(
        SystemResult(name, summary.means, summary.differences, values[name], timings.get(name))
        for name, summary in summaries[collection].items()
    )


def _reachable(collection: Collection, candidates: Ranking, depth: int) -> float:
    name = f"Recall@{depth}"
    return float(np.mean(list(measured_values(collection, candidates, [name])[name].values())))


def _sampled(given: Collection, asked: Collection) -> tuple[str, ...]:
    if len(asked.queries) == len(given.queries):
        return ()
    return (
        f"A sample of {len(asked.queries)} of the {len(given.queries)} queries was measured, drawn with a fixed seed",
    )
