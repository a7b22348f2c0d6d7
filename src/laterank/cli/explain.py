"""``laterank explain``: why a document scores what it scores, or why a ranking is what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from laterank.checks import expanded
from laterank.cli.groups import option_groups
from laterank.cli.inputs import read_records, read_text
from laterank.cli.options import CacheFile, Fields, Json, ModelOptions, Score, ScoreChoice
from laterank.cli.output import print_json, write
from laterank.errors import InputError, LaterankError
from laterank.explanation.ranking import RankingExplanation
from laterank.explanation.single import Explanation

__all__ = ["explain"]

DocumentFile: TypeAlias = Annotated[
    str | None,
    typer.Option("--file", "-f", metavar="FILE", help="A file that is the document; `-`: standard input."),
]
RankingFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--ranking",
        "-r",
        metavar="FILE",
        help="Explain a ranking: a text or a JSON object a line, in the order before.",
    ),
]


@option_groups
def explain(
    *,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="The question.")],
    document: Annotated[str | None, typer.Argument(metavar="DOCUMENT", help="The document's text.")] = None,
    file: DocumentFile = None,
    ranking: RankingFile = None,
    top_n: Annotated[
        int, typer.Option("--top-n", "-n", metavar="N", help="How many of a ranking to show.")
    ] = 10,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page for a browser.")
    ] = None,
    score: Score = ScoreChoice.MEAN,
    cache: CacheFile = None,
    field: Fields = None,
    model: ModelOptions,
    json: Json = False,
) -> None:
    """Show which token of a document each token of the query met, and what it adds to the score."""
    if sum(source is not None for source in (document, file, ranking)) != 1:
        raise InputError("expected one of: a document's text, --file with a document, --ranking with many")
    records = [] if ranking is None else list(read_records([ranking], names=field))
    text = read_text(file) if file is not None else document
    explanation: Explanation | RankingExplanation
    with model.reranker(cache=cache, score=score) as reranker:
        if text is not None:
            explanation = reranker.explain(query, text)
        else:
            explanation = reranker.explain_ranking(query, [record.text for record in records], top_n=top_n)
    _show(explanation, html=html, json=json)


def _show(explanation: Explanation | RankingExplanation, *, html: Path | None, json: bool) -> None:
    if html is not None:
        try:
            expanded(html).write_text(explanation.to_html(), encoding="utf-8")
        except OSError as error:
            raise LaterankError(f"{html} cannot be written: {error.strerror}; name another file") from error
    if json:
        print_json(explanation.to_dict())
    elif html is None:
        write(explanation.to_text())
