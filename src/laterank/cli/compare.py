"""``laterank compare``: where do two models disagree?"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from laterank.cli.collections import CollectionOptions, ModelsOptions
from laterank.cli.groups import option_groups
from laterank.cli.options import Json
from laterank.cli.output import print_json, write
from laterank.cli.tables import write_markdown
from laterank.errors import InputError

__all__ = ["compare"]

TopK: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        metavar="N",
        help="Compare so many of the first as sets; if not given 10, or half of the candidates where that is less.",
    ),
]
Explained: TypeAlias = Annotated[
    int, typer.Option("--explain", metavar="N", help="Explain so many queries, the least alike first.")
]
Files: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Save as `.json`, `.md` or `.html` (a page); give it several times.",
    ),
]


@option_groups
def compare(
    *,
    collection: CollectionOptions,
    models: ModelsOptions,
    top_k: TopK = None,
    explain: Explained = 3,
    out: Files = None,
    json: Json = False,
) -> None:
    """Measure how much two models disagree, without judgements, and explain the queries that differ most.

    Name two with `--model`; one is compared with the bundled model. BM25 needs `pip install "laterank[evaluate]"`.
    """
    from laterank.evaluation.compare import compare as compared
    from laterank.evaluation.comparison import COMPARISON_FILES
    from laterank.evaluation.saving import check_files

    files = check_files(out or (), COMPARISON_FILES)
    if not models.model:
        raise InputError(
            "no model is named; name two with --model, or one that is compared with the bundled model"
        )
    found = compared(
        collection.unjudged(),
        models.rerankers(["bundled", *models.model] if len(models.model) == 1 else models.model),
        run=collection.run,
        depth=collection.depth,
        queries=collection.queries,
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
