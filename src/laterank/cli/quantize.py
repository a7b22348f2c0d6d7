"""``laterank quantize``: the INT8 graph of a model folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from laterank.cli.export import LeastCosine, Overwrite, Texts, exporter, sample_texts, write_fidelity
from laterank.cli.options import Json
from laterank.cli.output import print_json, working, write

__all__ = ["quantize"]


def quantize(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A model folder with a full-precision graph.")
    ],
    texts: Texts = None,
    least_cosine: LeastCosine = 0.998,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write a model's INT8 graph beside its full-precision one, near enough by measurement."""
    with working(f"quantising {folder}"):
        report = exporter().quantize_model(
            folder, texts=sample_texts(texts), least_cosine=least_cosine, overwrite=overwrite
        )
    if json:
        print_json({**asdict(report), "graph": str(report.graph)})
        return
    write(f"{report.graph}")
    write_fidelity(report.bytes_after, report.fidelity, report.kept)
