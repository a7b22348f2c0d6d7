"""Options that several commands share, each with one name and one meaning."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from laterank.reranker import Reranker

__all__ = [
    "CacheFile",
    "Fields",
    "Json",
    "LongDocuments",
    "LongDocumentsChoice",
    "Model",
    "ModelArgument",
    "Offline",
    "OnnxFile",
    "Quantized",
    "Score",
    "ScoreChoice",
    "Threads",
    "make_reranker",
]


class ScoreChoice(str, Enum):
    """What a score is given as; the ranking is the same."""

    MEAN = "mean"
    SUM = "sum"
    PROBABILITY = "probability"


class LongDocumentsChoice(str, Enum):
    """What happens to documents that are longer than the model reads."""

    TRUNCATE = "truncate"
    WINDOWS = "windows"
    ERROR = "error"


_MODEL_HELP = "`bundled`, a hub id such as `colbert-ir/colbertv2.0`, or a folder."

Model: TypeAlias = Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help=_MODEL_HELP)]
ModelArgument: TypeAlias = Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL_HELP)]
OnnxFile: TypeAlias = Annotated[
    str | None, typer.Option("--onnx-file", metavar="FILE", help="The graph to use, relative to the model.")
]
Quantized: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--quantized/--full-precision",
        help="The INT8 graph or the other; neither: what is there.",
        show_default=False,
    ),
]
Offline: TypeAlias = Annotated[bool, typer.Option("--offline", help="Never use the network.")]
Threads: TypeAlias = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="Threads; every usable processor if not given.")
]
Score: TypeAlias = Annotated[
    ScoreChoice,
    typer.Option(
        "--score",
        metavar="UNIT",
        help="`mean` lies in [-1, 1], `sum` is raw MaxSim, `probability` needs a model with a calibration.",
    ),
]
LongDocuments: TypeAlias = Annotated[
    LongDocumentsChoice,
    typer.Option(
        "--long-documents",
        metavar="HOW",
        help="Longer ones than the model reads: `truncate` cuts their end off, `windows` reads them whole, `error` stops.",
    ),
]
CacheFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--cache", metavar="PATH", help="A file that keeps documents' embeddings; nothing is kept without it."
    ),
]
Fields: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="NAME",
        help="The field of a JSON line that holds the text (`text` if not given); several are joined by a space.",
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON on standard output, for programs.")]


def make_reranker(
    model: str,
    *,
    cache: Path | None = None,
    score: ScoreChoice = ScoreChoice.MEAN,
    long_documents: LongDocumentsChoice = LongDocumentsChoice.TRUNCATE,
    onnx_file: str | None = None,
    quantized: bool | None = None,
    threads: int | None = None,
    offline: bool = False,
) -> Reranker:
    """Make the reranker that the options ask for.

    Raises:
        LaterankError: What ``Reranker.from_pretrained`` raises.
    """
    from laterank.reranker import Reranker

    return Reranker.from_pretrained(
        model,
        cache=cache if cache is not None else True,
        score=score.value,
        long_documents=long_documents.value,
        onnx_file=onnx_file,
        quantized=quantized,
        threads=threads,
        local_files_only=offline,
    )
