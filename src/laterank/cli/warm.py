"""``laterank warm``: a corpus into a cache on disk, ahead of its first query."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from laterank.cli.groups import option_groups
from laterank.cli.inputs import STANDARD_INPUT, begun, count_lines, read_records
from laterank.cli.options import Fields, Json, ModelOptions
from laterank.cli.output import print_json, progress, write

__all__ = ["warm"]


@option_groups
def warm(
    *,
    cache: Annotated[
        Path, typer.Option("--cache", metavar="PATH", help="The file that keeps the embeddings; it is made.")
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE", help="Files with a text or a JSON object a line; `-` or none: standard input."
        ),
    ] = None,
    field: Fields = None,
    model: ModelOptions,
    json: Json = False,
) -> None:
    """Encode documents into a cache, so that no query waits for it.

    Interrupted, it goes on where it was: what the cache has is skipped.
    """
    sources = files or [STANDARD_INPUT]
    records = begun(read_records(sources, names=field))
    with model.reranker(cache=cache) as reranker, progress("warming", count_lines(sources)) as tell:
        texts = (record.text for record in records)
        done = reranker.warm(texts, progress=lambda warmed: tell(warmed.documents))
    if json:
        print_json(asdict(done))
    else:
        write(f"{done.documents} documents: {done.encoded} encoded, {done.known} in the cache before")
