"""Hybrid search: BM25 and dense vectors each find candidates, their ranks are fused, laterank sorts the fused list."""

from collections.abc import Sequence
from statistics import mean

import bm25s
import numpy as np
from lsa import LatentSemanticAnalysis
from papers import abstracts, questions

from laterank import Reranker

CANDIDATES = 10

papers = abstracts()
texts = [paper["text"] for paper in papers]


def words(texts: Sequence[str]) -> list[list[str]]:
    """Split as BM25 wants it."""
    return bm25s.tokenize(texts, stopwords="en", show_progress=False)


bm25 = bm25s.BM25()
bm25.index(words(texts), show_progress=False)
lsa = LatentSemanticAnalysis(texts)
vectors = np.array(lsa.embed_documents(texts))
reranker = Reranker.from_pretrained(long_documents="windows")


def by_words(query: str) -> list[int]:
    """Find what shares words with the query."""
    found, _ = bm25.retrieve(words([query]), k=CANDIDATES, show_progress=False)
    return [int(position) for position in found[0]]


def by_vectors(query: str) -> list[int]:
    """Find what lies near the query."""
    similarities = vectors @ np.array(lsa.embed_query(query))
    return [int(position) for position in np.argsort(-similarities, kind="stable")[:CANDIDATES]]


def fused(*rankings: Sequence[int]) -> list[int]:
    """Fuse by reciprocal ranks (Cormack, Clarke and Buettcher 2009): the sum of 1 / (60 + rank)."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, position in enumerate(ranking, start=1):
            scores[position] = scores.get(position, 0) + 1 / (60 + rank)
    return sorted(scores, key=scores.__getitem__, reverse=True)


def reranked(query: str, candidates: Sequence[int]) -> list[int]:
    """Sort candidates with the model."""
    ranking = reranker.rank(query, [texts[position] for position in candidates])
    return [candidates[place.index] for place in ranking]


rankings: dict[str, list[list[int]]] = {"BM25": [], "dense": [], "fused": [], "reranked": []}
for question in questions():
    sparse, dense = by_words(question["text"]), by_vectors(question["text"])
    both = fused(sparse, dense)
    for name, ranking in zip(rankings, (sparse, dense, both, reranked(question["text"], both)), strict=True):
        rankings[name].append(ranking)

print(f"{len(questions())} questions, {len(papers)} abstracts    MRR   right one first   right one found")
for name, of_questions in rankings.items():
    places = [
        next((place for place, i in enumerate(ranking, start=1) if papers[i]["id"] == question["id"]), 0)
        for question, ranking in zip(questions(), of_questions, strict=True)
    ]
    mrr = mean(1 / place if place else 0 for place in places)
    print(f"{name:28} {mrr:.3f}   {places.count(1):15}   {len(places) - places.count(0):15}")
