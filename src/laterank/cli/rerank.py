"""``laterank rerank``: documents from files or a pipe, the best first."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from json import dumps
from math import isfinite
from typing import Annotated, Any, TypeAlias, cast

import typer

from laterank.checks import as_float
from laterank.cli.groups import option_groups
from laterank.cli.inputs import STANDARD_INPUT, Record, read_records
from laterank.cli.options import CacheFile, Fields, FirstStageOptions, Json, ModelOptions, Score, ScoreChoice
from laterank.cli.output import one_line, print_json, working, write
from laterank.cli.tables import print_rows
from laterank.errors import InputError
from laterank.explanation.terminal import fitted
from laterank.ranking import RankedDocument

__all__ = ["rerank"]

LONGEST_VALUE = 40
"""Columns of a value in an error."""

QueriesFile: TypeAlias = Annotated[
    str | None,
    typer.Option("--queries", metavar="FILE", help="Many queries, a text or a JSON object a line."),
]
TopN: TypeAlias = Annotated[
    int | None, typer.Option("--top-n", "-n", metavar="N", help="How many to show; all if not given.")
]
Threshold: TypeAlias = Annotated[
    float | None, typer.Option("--threshold", metavar="SCORE", help="Leave out what scores lower.")
]
ScoreField: TypeAlias = Annotated[
    str,
    typer.Option(
        "--score-field",
        metavar="NAME",
        help="The field of a JSON line that holds the first stage's score, for `--fusion weighted`.",
    ),
]


@option_groups
def rerank(
    *,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="The question; with --queries, the file of documents.")
    ],
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="A file with a text or a JSON object a line; `-` or none: standard input."
        ),
    ] = None,
    queries: QueriesFile = None,
    top_n: TopN = None,
    threshold: Threshold = None,
    score: Score = ScoreChoice.MEAN,
    cache: CacheFile = None,
    field: Fields = None,
    first_stage: FirstStageOptions,
    score_field: ScoreField = "score",
    model: ModelOptions,
    json: Json = False,
) -> None:
    """Put the documents that answer a query first.

    JSON lines keep their fields and gain `rank`, `index` (the line, from 0) and `score`. For `--fusion`, `--budget` and
    `--patience` the lines are in the first stage's order, the most promising first.
    """
    asked = [Record(query, {})] if queries is None else _queries(queries, query, file)
    named = query if queries is not None else file
    documents = list(read_records([STANDARD_INPUT if named is None else named], names=field))
    if not documents and named is None and os.path.isfile(query):  # noqa: PTH113 - a long question is no error to it
        raise InputError(
            f"nothing was piped in, and the query {query} is the name of a file; pass the query first, then the file"
        )
    texts = [document.text for document in documents]
    kind = first_stage.fusion_kind
    scores = _scores(documents, score_field) if kind == "weighted" else None
    with model.reranker(cache=cache, score=score) as reranker:
        for question in asked:
            with working(f"reranking {len(texts):,} document{'s' * (len(texts) != 1)}"):
                ranking = reranker.rank(
                    question.text,
                    texts,
                    top_n=top_n,
                    score_threshold=threshold,
                    fusion=kind,
                    fusion_weight=first_stage.fusion_weight,
                    first_stage_scores=scores,
                    budget=first_stage.budget,
                    patience=first_stage.patience,
                )
            if json:
                _print_json(ranking, documents, question.fields)
            else:
                _print_table(ranking, documents, heading=question.text if queries else None)


def _scores(documents: Sequence[Record], name: str) -> list[float]:
    """Return what the first stage gave each document.

    Raises:
        InputError: If a document has no finite number there, naming it and what it has instead.
    """
    scores = [document.fields.get(name) for document in documents]
    for position, (score, document) in enumerate(zip(scores, documents, strict=True), start=1):
        if not _is_number(score):
            raise InputError(
                f"--fusion weighted mixes scores, and document {position} {_instead(document, name)}; or pass --fusion rrf, "
                "which needs the order of the lines alone"
            )
    return cast("list[float]", scores)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(as_float(value))


def _instead(document: Record, name: str) -> str:
    """Say what stands in place of a score, and what to do."""
    if name in document.fields:
        given = dumps(document.fields[name], ensure_ascii=False)
        return f'has {fitted(given, LONGEST_VALUE)} under "{name}", expected a finite number'
    others = [f'"{field}"' for field, value in document.fields.items() if _is_number(value)]
    if others:
        return f'has no "{name}", but {", ".join(others)}; name a field with --score-field'
    example = dumps({"text": "...", name: 12.3})
    return f'has no "{name}"; pass JSON lines that have one, such as {example}'


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
        if place.fused is not None:
            found["fused_score"] = place.fused
        if not place.scored:
            found["scored"] = False
        if query:
            found["query"] = query
        fields = documents[place.index].fields
        print_json({**found, **{_kept_name(name, found, fields): value for name, value in fields.items()}})


def _kept_name(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    if name not in ours:
        return name
    kept = f"input_{name}"
    while kept in theirs:  # a line that was ranked before has one already
        kept = f"input_{kept}"
    return kept


def _print_table(ranking: Sequence[RankedDocument], documents: Sequence[Record], heading: str | None) -> None:
    named = any("id" in document.fields for document in documents)
    rows = []
    for rank, place in enumerate(ranking, start=1):
        document = documents[place.index]
        name = [one_line(str(document.fields.get("id", "")))] if named else []
        score = f"{place.score:.3f}" if place.scored else "not read"
        rows.append([str(rank), score, *name, one_line(document.text)])
    if heading is not None:
        write(f"{one_line(heading)}" if sys.stdout.isatty() else f"# {one_line(heading)}")
    print_rows(["rank", "score", *(["id"] if named else []), "text"], rows, numbers=(0, 1))
