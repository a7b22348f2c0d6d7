"""Does reranking help? Every measure before and after, how sure it is, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from laterank.errors import InputError
from laterank.evaluation.collection import Collection, Ranking
from laterank.evaluation.evaluation import Evaluation, SystemResult
from laterank.evaluation.first_stage import Run, first_stage
from laterank.evaluation.machine import package_versions, processor
from laterank.evaluation.measures import MEASURES, QueryValues, measured_values, parsed_measures
from laterank.evaluation.models import Models, named_rerankers
from laterank.evaluation.rank_options import ALONE, RankOptions
from laterank.evaluation.reading import GivenPath, read_collection
from laterank.evaluation.reranking import System, Timing, rerank_collection, time_queries
from laterank.evaluation.statistics import summarise
from laterank.fusion import FusionKind
from laterank.progress import told_progress
from laterank.reranker import Reranker

__all__ = ["DEPTH", "evaluate"]

DEPTH = 100
"""Candidates a query, as is usual for rerankers."""
TIMED_QUERIES = 5


def evaluate(
    collection: Collection | GivenPath,
    models: Models = "bundled",
    *,
    run: Run | None = None,
    depth: int = DEPTH,
    queries: int | None = None,
    measures: Sequence[str] = MEASURES,
    timed_queries: int = TIMED_QUERIES,
    fusion: FusionKind | None = None,
    fusion_weight: float = 0.5,
    budget: int | None = None,
    patience: int | None = None,
    top_n: int | None = None,
    progress: bool = False,
) -> Evaluation:
    """Measure whether reranking helps on judged queries, with several models side by side.

    With a fusion or an early exit each model is measured twice: alone, and so, as ``bundled,fusion=rrf``.

    Args:
        collection: What ``read_collection`` gives, or the folder that it reads.
        models: Names, folders or rerankers; ``"bundled,truncate_dim=64"`` names a model with settings. A reranker is measured
            as it is, with its cache.
        run: The first stage's results: the path of a TREC run file, or each query's documents, the best first, or their
            scores by document; None for BM25 over the whole collection.
        depth: How many candidates a query has at most.
        queries: Measure a seeded sample of so many queries; None for all.
        measures: Such as ``nDCG@10``, ``MRR@10``, ``Recall@100``, ``MAP@10``, ``P@5``, ``Success@1``; the first is the one
            that decides.
        timed_queries: How many queries are timed, one at a time; 0 for none.
        fusion: Measure each model mixed with the first stage, too: ``"rrf"`` with its order, ``"weighted"`` with its scores.
        fusion_weight: The reranker's share of it, from 0 to 1.
        budget: Measure each model, too, where it encodes at most so many documents a query, and nothing is in the cache.
        patience: Likewise, where it stops after so many in a row that did not reach the best ``top_n``.
        top_n: How many ``patience`` looks for; no measure may look further.
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
    stage = first_stage(asked, run, depth)
    options = RankOptions(fusion, fusion_weight, budget, patience, top_n)
    for reranker in rerankers.values():
        options.check(reranker, measures, scored=stage.scores is not None)
    systems = _systems(rerankers, options, first_stage=stage.name)
    values: dict[str, QueryValues] = {stage.name: measured_values(asked, stage.candidates, measures)}
    steps = (len(stage.candidates) + timed_queries) * len(systems)
    with told_progress(steps, shown=progress, what="reranking", unit="query") as tell:
        for name, (reranker, how) in systems.items():
            ranking = rerank_collection(
                reranker, asked, stage.candidates, options=how, first_scores=stage.scores, tell=tell
            )
            values[name] = measured_values(asked, ranking, measures)
        timings = time_queries(
            systems, asked, stage.candidates, timed_queries, first_scores=stage.scores, tell=tell
        )
    return Evaluation(
        collection=given.name,
        documents=len(given.documents),
        queries=len(asked.queries),
        first_stage=stage.name,
        depth=depth,
        reachable=_reachable(asked, stage.candidates, depth),
        measures=tuple(measures),
        systems=_summarised(given.name, values, timings),
        notes=(*given.notes, *_sampled(given, asked), *stage.notes, *_cold(options)),
        made_with={"processor": processor(), **package_versions()},
    )


def _systems(
    rerankers: Mapping[str, Reranker], options: RankOptions, *, first_stage: str
) -> dict[str, System]:
    """Return each model alone and, where options change its ranking, with them beside it.

    Raises:
        InputError: If one has the first stage's name.
    """
    systems: dict[str, System] = {}
    for name, reranker in rerankers.items():
        for how in dict.fromkeys((ALONE, options)):
            systems[how.name(name)] = (reranker, how)
    if first_stage in systems:
        raise InputError(
            f"a model is called {first_stage!r}, as the first stage is; pass a mapping with other names"
        )
    return systems


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


def _cold(options: RankOptions) -> tuple[str, ...]:
    if not options.ends_early:
        return ()
    return (
        "With a budget or patience every query began with an empty cache, as what is cached counts towards no limit",
    )


def _sampled(given: Collection, asked: Collection) -> tuple[str, ...]:
    if len(asked.queries) == len(given.queries):
        return ()
    return (
        f"A sample of {len(asked.queries)} of the {len(given.queries)} queries was measured, drawn with a fixed seed",
    )
