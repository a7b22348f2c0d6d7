"""The options of commands that rerank a whole collection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from laterank.cli.options import LongDocuments, LongDocumentsChoice, Offline, Threads, Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from laterank.evaluation import Collection
    from laterank.reranker import Reranker

__all__ = ["CollectionOptions", "ModelsOptions"]

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


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """Documents, queries, and the first stage's results of them."""

    folder: Folder = None
    corpus_file: CorpusFile = None
    queries_file: QueriesFile = None
    run: RunFile = None
    depth: Depth = 100
    queries: Sample = None

    def unjudged(self) -> Collection:
        """Read documents and queries.

        Raises:
            LaterankError: What ``read_collection`` raises.
        """
        from laterank.evaluation.reading import read_collection

        return read_collection(self.folder, corpus=self.corpus_file, queries=self.queries_file, judged=False)

    def judged(self, qrels: Path | None, split: str | None) -> Collection:
        """Read documents, queries and judgements.

        Raises:
            LaterankError: What ``read_collection`` raises.
        """
        from laterank.evaluation.reading import read_collection

        return read_collection(
            self.folder, corpus=self.corpus_file, queries=self.queries_file, qrels=qrels, split=split
        )


@dataclass(frozen=True, slots=True)
class ModelsOptions:
    """Which models are measured, and what they have in common."""

    model: Models = None
    long_documents: LongDocuments = LongDocumentsChoice.TRUNCATE
    threads: Threads = None
    workers: Workers = None
    offline: Offline = False

    def rerankers(self, models: Sequence[str]) -> dict[str, Reranker]:
        """Make a reranker of each model, under the name by which it is reported.

        Raises:
            LaterankError: What ``named_rerankers`` raises.
        """
        from laterank.evaluation.models import named_rerankers

        return named_rerankers(
            models,
            long_documents=self.long_documents.value,
            threads=self.threads,
            workers=self.workers,
            local_files_only=self.offline,
        )
