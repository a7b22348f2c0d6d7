"""Where two models disagree: without judgements, over the queries and the candidates that both rerank."""

from __future__ import annotations

from collections.abc import Sequence

from laterank.errors import InputError
from laterank.evaluation.agreement import kendall_tau, overlap, rank_biased_overlap
from laterank.evaluation.collection import Collection, Ranking
from laterank.evaluation.comparison import Comparison, Disagreement, QueryAgreement
from laterank.evaluation.evaluate import DEPTH
from laterank.evaluation.first_stage import Run, first_stage
from laterank.evaluation.models import Models, named_rerankers
from laterank.evaluation.reading import GivenPath, read_collection
from laterank.evaluation.reranking import rerank_collection
from laterank.progress import told_progress
from laterank.reranker import Reranker

__all__ = ["compare"]

EXPLAINED, TOP_K, SHOWN_DOCUMENTS = 3, 10, 5


def compare(
    collection: Collection | GivenPath,
    models: Models,
    *,
    run: Run | None = None,
    depth: int = DEPTH,
    queries: int | None = None,
    top_k: int | None = None,
    explained: int = EXPLAINED,
    progress: bool = False,
) -> Comparison:
    """Measure how much two models disagree, and explain the queries on which they disagree most.

    Nothing has to be judged, so this says that rankings differ, not which is better.

    Args:
        collection: Documents and queries, or the folder that holds them.
        models: Two names, folders or rerankers; the same model with two settings, too, such as ``"bundled"`` and
            ``"bundled,truncate_dim=48"``.
        run: The first stage's results; None for BM25 over the whole collection.
        depth: How many candidates a query has at most.
        queries: Take a seeded sample of so many queries; None for all.
        top_k: How many of the first are compared as sets; None for 10, or half of the candidates where that is less: all of
            them are the same ones in both.
        explained: How many queries are explained, the least alike first; 0 for none.
        progress: True for a bar on standard error, where that is a terminal.

    Raises:
        InputError: If there are not two models, or an argument has a value that cannot work, such as a ``top_k`` that no
            query has more candidates than.
        CollectionError: If a file cannot be read, or the run does not fit the collection.
        ModelNotFoundError: If there is no such model.
        MissingPackageError: If BM25 is wanted and ``laterank[evaluate]`` is not installed.
    """
    if explained < 0:
        raise InputError(f"explained is {explained}, expected at least 0")
    given = collection if isinstance(collection, Collection) else read_collection(collection, judged=False)
    rerankers = named_rerankers(models)
    if len(rerankers) != 2:
        raise InputError(f"there are {len(rerankers)} models, expected two: {', '.join(rerankers)}")
    if not given.queries:
        raise InputError(f"the collection {given.name} has no queries")
    asked = given.sample(queries) if queries is not None else given
    stage = first_stage(asked, run, depth)
    candidates = stage.candidates
    cutoff = _cutoff(top_k, [len(found) for found in candidates.values()])
    with told_progress(2 * len(candidates), shown=progress, what="reranking", unit="query") as tell:
        one, other = (
            rerank_collection(reranker, asked, candidates, tell=tell) for reranker in rerankers.values()
        )
    compared = [_agreement(asked, query, one[query], other[query], cutoff) for query in candidates]
    compared.sort(key=lambda query: query.rank_biased_overlap)
    differing = [query for query in compared if query.kendall_tau < 1]
    (name_one, reranker_one), (name_other, reranker_other) = rerankers.items()
    return Comparison(
        collection=given.name,
        documents=len(given.documents),
        first_stage=stage.name,
        depth=depth,
        top_k=cutoff,
        models=(name_one, name_other),
        queries=tuple(compared),
        disagreements=tuple(
            _explained(asked, query.id, (one, other), (reranker_one, reranker_other))
            for query in differing[:explained]
        ),
        notes=(*given.notes, *stage.notes, *_alike_anyway(candidates, cutoff)),
    )


def _cutoff(top_k: int | None, candidates: Sequence[int]) -> int:
    """Return how many of the first to compare as sets, fewer than there are candidates wherever that can be.

    Raises:
        InputError: If ``top_k`` is less than 1, or not less than any query's candidates.
    """
    most = max(candidates)
    if top_k is None:
        return max(1, min(TOP_K, most // 2))
    if not 1 <= top_k < max(2, most):
        raise InputError(
            f"top_k is {top_k}, and a query has {most} candidates at most, of which both models have all; expected at least 1 "
            "and fewer than that"
        )
    return top_k


def _alike_anyway(candidates: Ranking, cutoff: int) -> tuple[str, ...]:
    few = [query for query, found in candidates.items() if 0 < len(found) <= cutoff]
    if not few:
        return ()
    return (
        (
            f"Queries with no more than {cutoff} candidates, which are the first {cutoff} of both models: {len(few):,}, such as "
            f"{few[0]}"
        ),
    )


def _agreement(
    collection: Collection, query: str, one: Sequence[str], other: Sequence[str], top_k: int
) -> QueryAgreement:
    return QueryAgreement(
        id=query,
        text=collection.queries[query],
        rank_biased_overlap=rank_biased_overlap(one, other),
        kendall_tau=kendall_tau(one, other),
        overlap=overlap(one, other, top_k),
        best=(one[0], other[0]) if one else None,
    )


def _explained(
    collection: Collection,
    query: str,
    rankings: tuple[Ranking, Ranking],
    rerankers: tuple[Reranker, Reranker],
) -> Disagreement:
    """Explain each model's ranking with the other's as the one before it."""
    text = collection.queries[query]
    one, other = ([collection.documents[document] for document in ranking[query]] for ranking in rankings)
    return Disagreement(
        id=query,
        explanations=(
            rerankers[0].explain_ranking(text, other, top_n=SHOWN_DOCUMENTS),
            rerankers[1].explain_ranking(text, one, top_n=SHOWN_DOCUMENTS),
        ),
    )
