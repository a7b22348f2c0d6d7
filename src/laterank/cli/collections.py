"""The options of commands that rerank a whole collection."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from laterank.cli.output import write

__all__ = [
    "CorpusFile",
    "Depth",
    "Folder",
    "Models",
    "QueriesFile",
    "RunFile",
    "Sample",
    "write_markdown",
]

Folder: TypeAlias = Annotated[
    Path | None,
    typer.Argument(
        metavar="FOLDER",
        help="A folder with `corpus.jsonl`, `queries.jsonl` and judgements, as BEIR has them; or name the files.",
        show_default=False,
    ),
]
CorpusFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--corpus-file", metavar="FILE", help="Documents: JSON lines, or `id<TAB>text`."),
]
QueriesFile: TypeAlias = Annotated[
    Path | None, typer.Option("--queries-file", metavar="FILE", help="Queries, likewise.")
]
RunFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--run", metavar="FILE", help="The first stage's results, a TREC run; BM25 if not given."),
]
Depth: TypeAlias = Annotated[
    int, typer.Option("--depth", metavar="N", help="Rerank so many of the first stage's results.")
]
Sample: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--queries", metavar="N", help="A sample of so many queries, always the same; all if not given."
    ),
]
Models: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="`bundled`, a hub id or a folder, with settings if need be: `bundled,truncate_dim=48`. Give it several times for "
        "several models.",
        show_default=False,
    ),
]


def write_markdown(text: str) -> None:
    """Write Markdown as it is, or drawn where standard output is a terminal."""
    if not sys.stdout.isatty():
        write(text.rstrip("\n"))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console(highlight=False).print(Markdown(text))
