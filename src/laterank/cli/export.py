"""``laterank export``: a trained ColBERT to a folder with its graphs."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from laterank.cli.inputs import read_records
from laterank.cli.options import Json, Offline
from laterank.cli.output import byte_size, print_json, working, write
from laterank.errors import LaterankError

if TYPE_CHECKING:
    from laterank.export import Fidelity

__all__ = ["LeastCosine", "Overwrite", "Texts", "export", "exporter", "sample_texts", "write_fidelity"]

Texts: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--texts",
        metavar="FILE",
        help="Documents like those that the model will see, a text or a JSON object a line, to fit and measure INT8 with.",
    ),
]
LeastCosine: TypeAlias = Annotated[
    float,
    typer.Option(
        "--least-cosine", metavar="C", help="How near INT8 rows must be to full precision, on average."
    ),
]
Overwrite: TypeAlias = Annotated[bool, typer.Option("--overwrite", help="Replace what was made before.")]


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A folder with a model's weights, or a hub id.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; it is made.")],
    int8: Annotated[bool, typer.Option("--int8/--no-int8", help="Write the INT8 graph, too.")] = True,
    texts: Texts = None,
    least_cosine: LeastCosine = 0.998,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="NAME", help="A branch, tag or commit of a hub model.")
    ] = None,
    overwrite: Overwrite = False,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Write the ONNX graph of a trained ColBERT, and its INT8 form, and check both.

    BERT, RoBERTa, XLM-R and ModernBERT need no torch.
    """
    with working(f"exporting {model}"):
        report = exporter().export_model(
            model,
            folder,
            quantize=int8,
            texts=sample_texts(texts),
            least_cosine=least_cosine,
            revision=revision,
            overwrite=overwrite,
            local_files_only=offline,
        )
    if json:
        print_json(report.to_dict())
        return
    write(f"{report.folder}: {report.architecture}, {report.dim} numbers a token")
    write(
        f"full precision: {byte_size(report.graph_bytes)}, cosine to the network's own rows at least {report.parity:.6f}"
    )
    if report.fidelity is not None:
        write_fidelity(report.int8_bytes, report.fidelity, report.kept)
    if report.config:
        write(f"pass when loading: config={dict(report.config)}")


def exporter() -> ModuleType:
    """Import the package that exports.

    Raises:
        LaterankError: If it needs a package that is not installed.
    """
    try:
        import laterank.export
    except ImportError as error:
        raise LaterankError(str(error)) from error
    return laterank.export


def sample_texts(file: Path | None) -> list[str] | None:
    """Read the texts of a file; None for the built-in ones."""
    return None if file is None else [record.text for record in read_records([str(file)])]


def write_fidelity(size: int, fidelity: Fidelity, kept: tuple[str, ...]) -> None:
    """Say how near an INT8 graph is to full precision."""
    write(
        f"INT8: {byte_size(size)}, cosine to full precision {fidelity.cosine_mean:.4f} on average, "
        f"{fidelity.cosine_p1:.4f} at the first percentile; {fidelity.top_10_overlap:.0%} of the ten best documents the same"
    )
    if kept:
        write(f"left in float32, because INT8 hurt them: {', '.join(kept)}")
