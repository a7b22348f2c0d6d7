"""``laterank evaluate``: does reranking help, on judged queries of your own?"""

from __future__ import annotations

from pathlib import Path
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
from laterank.cli.output import print_json

__all__ = ["evaluate"]


def evaluate(
    *,
    folder: Folder = None,
    corpus_file: CorpusFile = None,
    queries_file: QueriesFile = None,
    qrels_file: Annotated[
        Path | None,
        typer.Option("--qrels-file", metavar="FILE", help="Judgements, as BEIR or TREC write them."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split", metavar="NAME", help="Take `qrels/NAME.tsv` of a BEIR folder; `test` if not given."
        ),
    ] = None,
    model: Models = None,
    run: RunFile = None,
    depth: Depth = 100,
    queries: Sample = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            metavar="NAME",
            help="nDCG, MRR, MAP, Recall, P or Success with a cut-off; nDCG@10, MRR@10 and Recall@10 if not given.",
        ),
    ] = None,
    timed: Annotated[
        int, typer.Option("--timed", metavar="N", help="Measure the time of so many queries; 0: of none.")
    ] = 5,
    out: Annotated[
        list[str] | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Save as `.json`, `.md` or `.svg` (a plot); give it several times.",
        ),
    ] = None,
    threads: Threads = None,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Measure ranking quality before and after reranking, with confidence intervals and the time per query.

    Several models are measured side by side. Needs `pip install "laterank[evaluate]"`.
    """
    from laterank.evaluation.evaluate import evaluate as evaluated
    from laterank.evaluation.evaluation import EVALUATION_FILES
    from laterank.evaluation.measures import MEASURES
    from laterank.evaluation.models import named_rerankers
    from laterank.evaluation.reading import read_collection
    from laterank.evaluation.saving import check_files

    files = check_files(out or (), EVALUATION_FILES)
    found = evaluated(
        read_collection(folder, corpus=corpus_file, queries=queries_file, qrels=qrels_file, split=split),
        named_rerankers(model or ["bundled"], threads=threads, local_files_only=offline),
        run=run,
        depth=depth,
        queries=queries,
        measures=measure or MEASURES,
        timed_queries=timed,
        progress=True,
    )
    found.save(*files)
    if json:
        print_json(found.to_dict())
    else:
        write_markdown(found.to_markdown())
