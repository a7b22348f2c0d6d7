"""``laterank models``: which models are known, which are on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from laterank.cli.options import Json
from laterank.cli.output import byte_size, print_json
from laterank.cli.tables import print_rows

if TYPE_CHECKING:
    from laterank.model.on_disk import ModelOnDisk

__all__ = ["models"]


def models(
    here: Annotated[bool, typer.Option("--here", help="Only those on this machine.")] = False,
    cache_dir: Annotated[
        Path | None,
        typer.Option("--cache-dir", metavar="FOLDER", help="The hub's cache, if not the usual one."),
    ] = None,
    json: Json = False,
) -> None:
    """List the models that are known or on this machine, with licence and size; no request is made.

    `M` is millions of parameters, `dim` the numbers in a token embedding, `tokens` the most of a document that are read.
    """
    from laterank.model.on_disk import models_on_disk

    found = [model for model in models_on_disk(cache_dir) if model.size_bytes is not None or not here]
    if json:
        print_json([_plain(model) for model in found], indent=2)
        return
    header = ("model", "M", "dim", "tokens", "languages", "licence", "here")
    print_rows(header, map(_cells, found), numbers=(1, 2, 3), names=(0,))
    for model in found:
        if model.problem is not None:
            typer.echo(f"{model.name} is here in part: {model.problem}", err=True)


def _cells(model: ModelOnDisk) -> tuple[str, ...]:
    known = model.known
    size = "" if model.size_bytes is None else byte_size(model.size_bytes)
    licence = (
        ""
        if known is None
        else known.licence
        if known.commercial_use
        else f"{known.licence}, no commercial use"
    )
    return (
        model.name,
        "" if known is None else str(known.parameters_millions),
        "" if known is None else str(known.embedding_size),
        "" if model.document_length is None else str(model.document_length),
        "" if known is None else known.languages,
        licence,
        size if model.problem is None else f"{size}, in part",
    )


def _plain(model: ModelOnDisk) -> dict[str, Any]:
    known = model.known
    return {
        "name": model.name,
        "known": known is not None,
        "licence": known.licence if known else None,
        "commercial_use": known.commercial_use if known else None,
        "parameters_millions": known.parameters_millions if known else None,
        "embedding_size": known.embedding_size if known else None,
        "document_length": model.document_length,
        "languages": known.languages if known else None,
        "note": known.note if known else None,
        "folder": str(model.folder) if model.folder else None,
        "size_bytes": model.size_bytes,
        "revision": model.revision,
        "problem": model.problem,
    }
