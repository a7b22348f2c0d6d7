"""Options that several commands share, each with one name and one meaning."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from laterank.fusion import FusionKind
    from laterank.reranker import Reranker

__all__ = [
    "CacheFile",
    "Fields",
    "FirstStageOptions",
    "Json",
    "LongDocuments",
    "LongDocumentsChoice",
    "Model",
    "ModelArgument",
    "ModelOptions",
    "Offline",
    "OnnxFile",
    "Quantized",
    "Score",
    "ScoreChoice",
    "Threads",
    "Workers",
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


class FusionChoice(str, Enum):
    """How the first stage's ranking is mixed in."""

    RRF = "rrf"
    WEIGHTED = "weighted"


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
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", help="Processes that encode side by side; none if not given."),
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
WindowOverlap: TypeAlias = Annotated[
    float,
    typer.Option(
        "--window-overlap", metavar="SHARE", help="The share of a window that the next one repeats."
    ),
]
TruncateDim: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--truncate-dim", metavar="N", help="Keep so many numbers of each token embedding; all if not given."
    ),
]
PoolFactor: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--pool-factor",
        metavar="N",
        help="Let so many tokens of a document share a row, on average; none if not given.",
    ),
]
Fusion: TypeAlias = Annotated[
    FusionChoice | None,
    typer.Option(
        "--fusion",
        metavar="HOW",
        help="Mix in the first stage: `rrf` its order, `weighted` its scores.",
        show_default=False,
    ),
]
FusionWeight: TypeAlias = Annotated[
    float,
    typer.Option(
        "--fusion-weight",
        metavar="W",
        help="The reranker's share, from 0 (the first stage's order) to 1 (the reranker's).",
    ),
]
Budget: TypeAlias = Annotated[
    int | None,
    typer.Option("--budget", metavar="N", help="Encode at most so many documents a query, the first ones."),
]
Patience: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--patience",
        metavar="N",
        help="Stop encoding after so many in a row that did not reach the best `--top-n`.",
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


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model reads the documents, and how: the options of ``Reranker.from_pretrained``."""

    model: Model = "bundled"
    long_documents: LongDocuments = LongDocumentsChoice.TRUNCATE
    window_overlap: WindowOverlap = 0.25
    truncate_dim: TruncateDim = None
    pool_factor: PoolFactor = None
    onnx_file: OnnxFile = None
    quantized: Quantized = None
    threads: Threads = None
    workers: Workers = None
    offline: Offline = False

    def reranker(self, *, cache: Path | None, score: ScoreChoice = ScoreChoice.MEAN) -> Reranker:
        """Make the reranker that the options ask for.

        Args:
            cache: The file that keeps embeddings; None for memory.
            score: What a score is given as.

        Raises:
            LaterankError: What ``Reranker.from_pretrained`` raises.
        """
        from laterank.reranker import Reranker

        return Reranker.from_pretrained(
            self.model,
            cache=cache if cache is not None else True,
            score=score.value,
            long_documents=self.long_documents.value,
            window_overlap=self.window_overlap,
            truncate_dim=self.truncate_dim,
            pool_factor=self.pool_factor,
            onnx_file=self.onnx_file,
            quantized=self.quantized,
            threads=self.threads,
            workers=self.workers,
            local_files_only=self.offline,
        )


@dataclass(frozen=True, slots=True)
class FirstStageOptions:
    """What a ranking makes of the first stage's: the options of ``Reranker.rank``."""

    fusion: Fusion = None
    fusion_weight: FusionWeight = 0.5
    budget: Budget = None
    patience: Patience = None

    @property
    def fusion_kind(self) -> FusionKind | None:
        """The fusion as ``Reranker.rank`` takes it."""
        return None if self.fusion is None else self.fusion.value
