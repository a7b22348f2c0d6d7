"""What is reranked: the best documents of BM25, or of a run that was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from laterank.errors import CollectionError, MissingPackageError
from laterank.evaluation.collection import Collection, Ranking

__all__ = ["bm25_candidates", "run_candidates"]


def bm25_candidates(collection: Collection, depth: int) -> Ranking:
    """Return each query's best documents, best first, by bm25s with its defaults and English stop words.

    The whole collection is searched. bm25s implements BM25 in Lucene's variant (Lù 2024, arXiv 2407.03618).

    Raises:
        MissingPackageError: If bm25s is not installed.
    """
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
    found, _ = index.retrieve(asked, k=min(depth, len(ids)), show_progress=False, n_threads=1)
    return {
        query: [ids[index] for index in row] for query, row in zip(collection.queries, found, strict=True)
    }


def run_candidates(
    collection: Collection, run: Mapping[str, Sequence[str]], depth: int
) -> tuple[Ranking, tuple[str, ...]]:
    """Return the first documents of each of the collection's queries in a run, and what is odd about it.

    Raises:
        CollectionError: If the run has a document that the corpus lacks, or none of the queries.
    """
    candidates = {query: list(dict.fromkeys(run.get(query, ())))[:depth] for query in collection.queries}
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
