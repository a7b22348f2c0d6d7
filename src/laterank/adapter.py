"""The options that both adapters share: which model to load, and how many results to keep."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WrapValidator
from pydantic.json_schema import SkipJsonSchema

from laterank.cache.warming import Progress, Warmed
from laterank.checks import as_float
from laterank.encoding.session import Provider
from laterank.errors import InputError, InputTypeError
from laterank.fusion import FusionKind
from laterank.long_documents import LongDocumentKind
from laterank.model.config import ColbertConfig
from laterank.model.files import BUNDLED
from laterank.progress import known_length
from laterank.ranking import RankedDocument
from laterank.reranker import Reranker
from laterank.scale import ScoreKind

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["RerankOptions", "place_metadata", "without_places"]

T = TypeVar("T")


def _settings(config: Any) -> Any:
    """Return a config as plain data that a dump can hold; JSON has lists in place of tuples."""
    given = config.to_dict() if isinstance(config, ColbertConfig) else config
    if not isinstance(given, Mapping):
        return given
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


_path_as_text = BeforeValidator(lambda m: str(Path(m).absolute()) if isinstance(m, os.PathLike) else m)
_LoadedReranker = Annotated[
    Reranker, WrapValidator(lambda r, check: None if r is None else check(r)), SkipJsonSchema()
]
_LOADING_OPTIONS = (
    "cache",
    "cache_dir",
    "config",
    "device_ids",
    "local_files_only",
    "long_documents",
    "model",
    "onnx_file",
    "pool_factor",
    "providers",
    "quantized",
    "revision",
    "score",
    "threads",
    "tokens_per_batch",
    "truncate_dim",
    "window_overlap",
    "worker_timeout_seconds",
    "workers",
)
"""Those of ``Reranker.from_pretrained``, but for the token, which would stand in every dump."""

_OURS = ("fused_score", "relevance_scored", "relevance_truncated", "relevance_window")


def place_metadata(place: RankedDocument, first_score: Any) -> dict[str, Any]:
    """Return what a document's metadata say of its place beside the score: how it was read, and where it was before."""
    found: dict[str, Any] = {}
    if not place.scored:
        found["relevance_scored"] = False
    if place.truncated:
        found["relevance_truncated"] = True
    if place.window is not None:
        found["relevance_window"] = list(place.window)
    if place.fused is not None:
        found |= {"fused_score": place.fused, "retrieval_rank": place.index + 1}
        if isinstance(first_score, Real):
            found["retrieval_score"] = as_float(first_score)  # type: ignore[arg-type]  # what float() takes
    return found


def without_places(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without what an earlier reranking said of its own ranking."""
    # A fusion of ours put the score there; without one it may be anybody's.
    gone = {*_OURS, "relevance_score"} if "fused_score" in metadata else _OURS
    return {key: value for key, value in metadata.items() if key not in gone}


class RerankOptions(BaseModel):
    """Fields, loading and copying for an adapter; both frameworks build on pydantic.

    The model is found when the object is built, loaded at the first call and shared by copies.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", validate_assignment=True)

    model: Annotated[str, _path_as_text] = Field(
        default=BUNDLED, frozen=True, description="A folder, or a repository on the hub."
    )
    revision: str | None = Field(default=None, frozen=True, description="A branch, tag or commit on the hub.")
    config: Annotated[dict[str, Any] | None, BeforeValidator(_settings)] = Field(
        default=None, frozen=True, description="Settings that correct the model's files, or a ColbertConfig."
    )
    onnx_file: str | None = Field(
        default=None, frozen=True, description="The graph to use, relative to the model."
    )
    quantized: bool | None = Field(default=None, frozen=True, description="Whether to take the INT8 graph.")
    providers: Sequence[Provider] | None = Field(
        default=None, frozen=True, description="onnxruntime's, in order."
    )
    threads: int | None = Field(default=None, frozen=True, description="None: one for each usable CPU.")
    workers: int | None = Field(
        default=None, ge=0, strict=True, frozen=True, description="Processes that encode many documents."
    )
    device_ids: list[int] | None = Field(
        default=None, frozen=True, description="GPUs that the workers take in turn."
    )
    worker_timeout_seconds: float = Field(
        default=600.0, gt=0, frozen=True, description="How long a worker may take for one piece of work."
    )
    tokens_per_batch: int | None = Field(
        default=None, ge=1, strict=True, frozen=True, description="The most tokens in one run."
    )
    cache_dir: Annotated[str | None, _path_as_text] = Field(
        default=None, frozen=True, description="Where models from the hub are kept; None: where HF_HOME says."
    )
    local_files_only: bool = Field(default=False, frozen=True, description="Never ask the hub.")
    truncate_dim: int | None = Field(
        default=None, ge=1, strict=True, frozen=True, description="Numbers to keep of a token embedding."
    )
    pool_factor: int | None = Field(
        default=None, ge=1, strict=True, frozen=True, description="Tokens of a document that share a row."
    )
    score: ScoreKind = Field(
        default="mean",
        frozen=True,
        description="Mean or sum of the query rows' best matches, or a probability.",
    )
    cache: Annotated[bool | str | None, _path_as_text] = Field(
        default=True,
        frozen=True,
        description="Where documents' embeddings are kept: True: in memory; a path: in a file; False: nowhere.",
    )
    long_documents: LongDocumentKind = Field(
        default="truncate",
        frozen=True,
        description="What happens to documents longer than the model reads: their end is cut off, they are read in "
        "windows, or refused.",
    )
    window_overlap: float = Field(
        default=0.25, ge=0, lt=1, frozen=True, description="The share of a window that the next one repeats."
    )
    reranker: _LoadedReranker = Field(default=None, frozen=True, exclude=True, repr=False)  # type: ignore[assignment]  # None only until model_post_init
    score_threshold: float | None = Field(
        default=None, description="Drop results with a lower score, in the unit of score."
    )
    budget: int | None = Field(
        default=None, ge=1, strict=True, description="The most documents to encode for one query."
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        description="Stop encoding after so many in a row that did not reach the best top_n.",
    )
    fusion: FusionKind | None = Field(
        default=None, description="Mix in the retriever's order (rrf) or scores (weighted); None: neither."
    )
    fusion_weight: float = Field(
        default=0.5, ge=0, le=1, description="The reranker's share of a fusion, from 0 to 1."
    )

    def model_post_init(self, context: Any, /) -> None:
        """Find the model, or take the one that was given."""
        # Past pydantic's __setattr__: the fields are frozen, and were not set by the caller.
        if self.reranker is None:
            self.model_fields_set.discard("reranker")
            options = {name: getattr(self, name) for name in _LOADING_OPTIONS}
            self.__dict__["reranker"] = Reranker.from_pretrained(**options)
        elif clash := [name for name in _LOADING_OPTIONS if name in self.model_fields_set]:
            raise InputError(f"reranker is loaded already: pass it, or {', '.join(clash)}, not both")
        else:
            given = self.reranker
            shown = ("score", "long_documents", "window_overlap")
            self.__dict__.update(model=given.name, **{name: getattr(given, name) for name in shown})

    def _rank(
        self, query: str, texts: Sequence[str], first_scores: Sequence[Any], *, top_n: int | None, where: str
    ) -> list[RankedDocument]:
        """Rank what a retriever found, mixing its scores in where the fusion needs them.

        Args:
            query: The question.
            texts: What the model reads of the candidates, in the retriever's order.
            first_scores: The retriever's scores, where it gave some; None for others.
            top_n: How many to return; None for all.
            where: Where the scores were looked for, for an error.
        """
        self._check_first_scores(first_scores, where)
        return self.reranker.rank(
            query,
            texts,
            top_n=top_n,
            score_threshold=self.score_threshold,
            fusion=self.fusion,
            fusion_weight=self.fusion_weight,
            first_stage_scores=first_scores if self.fusion == "weighted" else None,
            budget=self.budget,
            patience=self.patience,
        )

    def _check_first_scores(self, scores: Sequence[Any], where: str) -> None:
        """Refuse what has no score where a weighted fusion needs one."""
        if self.fusion != "weighted":
            return
        for position, score in enumerate(scores):  # not by ==, which is an array's own
            if score is None:
                raise InputError(
                    f'fusion="weighted" mixes scores, but number {position} has none {where}; '
                    'fusion="rrf" needs the order alone'
                )

    def _warm(
        self, documents: Iterable[T], text_of: Callable[[T, int], str], *, progress: Progress
    ) -> Warmed:
        """Warm the cache with the texts that a ranking of these documents will read."""
        if isinstance(documents, (str, bytes)) or not isinstance(documents, Iterable):
            raise InputTypeError(
                f"documents is {type(documents).__name__}, expected an iterable of documents"
            )
        texts = (text_of(document, position) for position, document in enumerate(documents))
        return self.reranker.warm(texts, progress=progress, total=known_length(documents))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> "Self":
        """Copy with other values for the options of a call, which are validated; share the model."""
        copied = super().model_copy(deep=deep)
        for name, value in (update or {}).items():
            setattr(copied, name, value)
        return copied
