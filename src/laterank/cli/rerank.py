"""``laterank rerank``: documents from files or a pipe, the best first."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from laterank.cli.inputs import STANDARD_INPUT, Record, read_records
from laterank.cli.options import (
    CacheFile,
    Fields,
    Json,
    LongDocuments,
    LongDocumentsChoice,
    Model,
    Offline,
    OnnxFile,
    Quantized,
    Score,
    ScoreChoice,
    Threads,
    make_reranker,
)
from laterank.cli.output import one_line, print_json, print_rows, write
from laterank.errors import InputError
from laterank.ranking import RankedDocument

__all__ = ["rerank"]


def rerank(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="The question; with --queries, the file of documents.")
    ],
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="A file with a text or a JSON object a line; `-` or none: standard input."
        ),
    ] = None,
    queries: Annotated[
        str | None,
        typer.Option("--queries", metavar="FILE", help="Many queries, a text or a JSON object a line."),
    ] = None,
    top_n: Annotated[
        int | None, typer.Option("--top-n", "-n", metavar="N", help="How many to show; all if not given.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", metavar="SCORE", help="Leave out what scores lower.")
    ] = None,
    score: Score = ScoreChoice.MEAN,
    model: Model = "bundled",
    cache: CacheFile = None,
    field: Fields = None,
    long_documents: LongDocuments = LongDocumentsChoice.TRUNCATE,
    onnx_file: OnnxFile = None,
    quantized: Quantized = None,
    threads: Threads = None,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Put the documents that answer a query first.

    JSON lines keep their fields and gain `rank`, `index` (the line, from 0) and `score`.
    """
    asked = [Record(query, {})] if queries is None else _queries(queries, query, file)
    named = query if queries is not None else file
    source = STANDARD_INPUT if named is None else named
    documents = list(read_records([source], names=field))
    reranker = make_reranker(
        model,
        cache=cache,
        score=score,
        long_documents=long_documents,
        onnx_file=onnx_file,
        quantized=quantized,
        threads=threads,
        offline=offline,
    )
    texts = [document.text for document in documents]
    for question in asked:
        ranking = reranker.rank(question.text, texts, top_n=top_n, score_threshold=threshold)
        if json:
            _print_json(ranking, documents, question.fields)
        else:
            _print_table(ranking, documents, heading=question.text if queries else None)


def _queries(queries: str, source: str, extra: str | None) -> list[Record]:
    if extra is not None:
        raise InputError(f"with --queries, one file of documents is expected, not {source} and {extra}")
    if queries == source == STANDARD_INPUT:
        raise InputError(
            "queries and documents cannot both come from standard input; name a file for one of them"
        )
    return list(read_records([queries]))


def _print_json(
    ranking: Sequence[RankedDocument], documents: Sequence[Record], query: dict[str, Any]
) -> None:
    for rank, place in enumerate(ranking, start=1):
        found: dict[str, Any] = {"rank": rank, "index": place.index, "score": place.score}
        if query:
            found["query"] = query
        kept = {_kept_name(name, found): value for name, value in documents[place.index].fields.items()}
        print_json({**found, **kept})


def _kept_name(name: str, ours: dict[str, Any]) -> str:
    return f"input_{name}" if name in ours else name


def _print_table(ranking: Sequence[RankedDocument], documents: Sequence[Record], heading: str | None) -> None:
    named = any("id" in document.fields for document in documents)
    rows = []
    for rank, place in enumerate(ranking, start=1):
        document = documents[place.index]
        name = [one_line(str(document.fields.get("id", "")))] if named else []
        rows.append([str(rank), f"{place.score:.3f}", *name, one_line(document.text)])
    if heading is not None:
        write(f"{one_line(heading)}" if sys.stdout.isatty() else f"# {one_line(heading)}")
    print_rows(["rank", "score", *(["id"] if named else []), "text"], rows, numbers=(0, 1))
