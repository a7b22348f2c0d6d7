"""``laterank compare``: where do two models disagree?"""

from __future__ import annotations

from typing import Annotated

import typer

from laterank.cli.collections import (
    CorpusFile,
    Depth,
    Folder,
    Models,
    QueriesFile,
    RunFile,
    Sample,
    write_markdown,
)
from laterank.cli.options import Json, Offline, Threads
from laterank.cli.output import print_json, write
from laterank.errors import InputError

__all__ = ["compare"]


def compare(
    *,
    folder: Folder = None,
    corpus_file: CorpusFile = None,
    queries_file: QueriesFile = None,
    model: Models = None,
    run: RunFile = None,
    depth: Depth = 100,
    queries: Sample = None,
    top_k: Annotated[
        int, typer.Option("--top-k", metavar="N", help="Compare so many of the first as sets.")
    ] = 10,
    explain: Annotated[
        int, typer.Option("--explain", metavar="N", help="Explain so many queries, the least alike first.")
    ] = 3,
    out: Annotated[
        list[str] | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Save as `.json`, `.md` or `.html` (a page); give it several times.",
        ),
    ] = None,
    threads: Threads = None,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Measure how much two models disagree, without judgements, and explain the queries that differ most.

    Name two with `--model`; one is compared with the bundled model. BM25 needs `pip install "laterank[evaluate]"`.
    """
    from laterank.evaluation.compare import compare as compared
    from laterank.evaluation.comparison import COMPARISON_FILES
    from laterank.evaluation.models import named_rerankers
    from laterank.evaluation.reading import read_collection
    from laterank.evaluation.saving import check_files

    files = check_files(out or (), COMPARISON_FILES)
    models = model or []
    if not models:
        raise InputError(
            "no model is named; name two with --model, or one that is compared with the bundled model"
        )
    found = compared(
        read_collection(folder, corpus=corpus_file, queries=queries_file, judged=False),
        named_rerankers(
            ["bundled", *models] if len(models) == 1 else models, threads=threads, local_files_only=offline
        ),
        run=run,
        depth=depth,
        queries=queries,
        top_k=top_k,
        explained=explain,
        progress=True,
    )
    found.save(*files)
    if json:
        print_json(found.to_dict())
        return
    write_markdown(found.to_markdown())
    if not files:
        write(f"\n{found.to_text()}")
