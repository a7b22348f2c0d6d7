"""``laterank evaluate``: does reranking help, on judged queries of your own?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from laterank.cli.collections import CollectionOptions, ModelsOptions
from laterank.cli.groups import option_groups
from laterank.cli.options import FirstStageOptions, Json
from laterank.cli.output import print_json
from laterank.cli.tables import write_markdown

__all__ = ["evaluate"]

JudgementsFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--qrels-file", metavar="FILE", help="Judgements, as BEIR or TREC write them."),
]
Split: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--split", metavar="NAME", help="Take `qrels/NAME.tsv` of a BEIR folder; `test` if not given."
    ),
]
Measures: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--measure",
        metavar="NAME",
        help="nDCG, MRR, MAP, Recall, P or Success with a cut-off; nDCG@10, MRR@10 and Recall@10 if not given.",
    ),
]
TimedQueries: TypeAlias = Annotated[
    int, typer.Option("--timed", metavar="N", help="Measure the time of so many queries; 0: of none.")
]
TopN: TypeAlias = Annotated[
    int | None,
    typer.Option("--top-n", "-n", metavar="N", help="How many are wanted, which `--patience` has to know."),
]
Files: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Save as `.json`, `.md`, `.html` (a page) or `.svg` (a plot); give it several times.",
    ),
]


@option_groups
def evaluate(
    *,
    collection: CollectionOptions,
    qrels_file: JudgementsFile = None,
    split: Split = None,
    models: ModelsOptions,
    first_stage: FirstStageOptions,
    top_n: TopN = None,
    measure: Measures = None,
    timed: TimedQueries = 5,
    out: Files = None,
    json: Json = False,
) -> None:
    """Measure ranking quality before and after reranking, with confidence intervals and the time per query.

    Several models are measured side by side; with `--fusion`, `--budget` or `--patience` each alone and so. Needs
    `pip install "laterank[evaluate]"`.
    """
    from laterank.evaluation.evaluate import evaluate as evaluated
    from laterank.evaluation.evaluation import EVALUATION_FILES
    from laterank.evaluation.measures import MEASURES
    from laterank.evaluation.saving import check_files

    files = check_files(out or (), EVALUATION_FILES)
    found = evaluated(
        collection.judged(qrels_file, split),
        models.rerankers(models.model or ["bundled"]),
        run=collection.run,
        depth=collection.depth,
        queries=collection.queries,
        measures=measure or MEASURES,
        timed_queries=timed,
        fusion=first_stage.fusion_kind,
        fusion_weight=first_stage.fusion_weight,
        budget=first_stage.budget,
        patience=first_stage.patience,
        top_n=top_n,
        progress=True,
    )
    found.save(*files)
    if json:
        print_json(found.to_dict())
    else:
        write_markdown(found.to_markdown())
