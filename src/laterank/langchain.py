"""``ColbertRerank`` for LangChain: a document compressor that reranks with a late-interaction model."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from laterank.encoding.session import Provider
from laterank.errors import InputError, InputTypeError
from laterank.model.files import BUNDLED
from laterank.reranker import Reranker, ScoreKind

try:
    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from pydantic import BeforeValidator, ConfigDict, Field, WrapValidator
    from pydantic.json_schema import SkipJsonSchema
except ImportError as error:
    raise ImportError('laterank.langchain needs langchain-core: pip install "laterank[langchain]"') from error

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ColbertRerank", "RerankResult"]

_ModelName = Annotated[str, BeforeValidator(lambda m: os.fspath(m) if isinstance(m, os.PathLike) else m)]
_LoadedReranker = Annotated[
    Reranker, WrapValidator(lambda r, check: None if r is None else check(r)), SkipJsonSchema()
]
_LOADING_OPTIONS = {"model", "revision", "quantized", "providers", "threads", "local_files_only", "score"}


class RerankResult(TypedDict):
    """One entry of what ``ColbertRerank.rerank`` returns."""

    index: int
    relevance_score: float


class ColbertRerank(BaseDocumentCompressor):
    """Rerank retrieved documents with a late-interaction (ColBERT) model.

    Documents come back as copies, best first, with ``metadata["relevance_score"]``. The model is found when
    the object is built, loaded at the first call and shared by copies. ``reranker`` takes a `laterank.Reranker`
    in place of the options that load one: to share a model, or to load one in ways that have no field here.
    ``model_dump`` leaves it out.

    Raises:
        pydantic.ValidationError: If an option is unknown or out of range, or ``reranker`` comes together with
            an option that loads a model.
        ModelError: If the model cannot be found, read or run as asked.

    Example:
        ```python
        from langchain_classic.retrievers import ContextualCompressionRetriever
        from laterank.langchain import ColbertRerank

        retriever = ContextualCompressionRetriever(
            base_compressor=ColbertRerank(top_n=5),
            base_retriever=vector_store.as_retriever(search_kwargs={"k": 50}),
        )
        ```
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", validate_assignment=True)

    model: _ModelName = Field(
        default=BUNDLED, frozen=True, description="A folder, or a repository on the hub."
    )
    revision: str | None = Field(default=None, frozen=True, description="A branch, tag or commit on the hub.")
    quantized: bool | None = Field(
        default=None,
        frozen=True,
        description="True: the int8 graph; False: full precision; None: whichever is there.",
    )
    providers: Sequence[Provider] | None = Field(
        default=None, frozen=True, description='Such as ["cuda", "cpu"], in order; None: the CPU.'
    )
    threads: int | None = Field(default=None, frozen=True, description="None: one for each usable CPU.")
    local_files_only: bool = Field(default=False, frozen=True, description="Never ask the hub.")
    score: ScoreKind = Field(default="mean", frozen=True, description="Of the query rows' best matches.")
    reranker: _LoadedReranker = Field(default=None, frozen=True, exclude=True, repr=False)  # type: ignore[assignment]  # None only until model_post_init
    top_n: int | None = Field(
        default=3, ge=1, strict=True, description="How many documents to keep; None: all."
    )
    score_threshold: float | None = Field(default=None, description="Drop documents with a lower score.")

    def model_post_init(self, context: Any, /) -> None:
        """Find the model, or take the one that was given."""
        # Past pydantic's __setattr__: the fields are frozen, and were not set by the caller.
        if self.reranker is None:
            self.__dict__["reranker"] = Reranker.from_pretrained(
                self.model,
                revision=self.revision,
                quantized=self.quantized,
                providers=self.providers,
                threads=self.threads,
                local_files_only=self.local_files_only,
                score=self.score,
            )
        elif clash := sorted(_LOADING_OPTIONS & self.model_fields_set):
            raise InputError(f"reranker is loaded already: pass it, or {', '.join(clash)}, not both")
        else:
            self.__dict__.update(model=self.reranker.name, score=self.reranker.score)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> "Self":
        """Copy with other values for ``top_n`` or ``score_threshold``, which are validated; share the model."""
        copied = super().model_copy(deep=deep)
        for name, value in (update or {}).items():
            setattr(copied, name, value)
        return copied

    def rerank(
        self, documents: Sequence[str | Document | dict[str, Any]], query: str, *, top_n: int | None = -1
    ) -> list[RerankResult]:
        """Score documents against a query and leave them where they are.

        Args:
            documents: Texts, ``Document`` objects, or dictionaries with a ``"text"`` or ``"page_content"``.
            query: What to score them against.
            top_n: How many results to return; None: all; -1: as many as the field ``top_n`` says.

        Returns:
            The position in ``documents`` and the score of each, best first.

        Raises:
            InputError: If the query is blank, ``top_n`` is 0 or less than -1, or a document has no text.
        """
        texts = [_text(document, position) for position, document in enumerate(documents)]
        if not texts:
            return []
        ranked = self.reranker.rank(
            query, texts, top_n=self.top_n if top_n == -1 else top_n, score_threshold=self.score_threshold
        )
        return [{"index": r.index, "relevance_score": r.score} for r in ranked]

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return copies of the best ``top_n`` documents, best first, each with its score in the metadata."""
        compressed = []
        for result in self.rerank(documents, query):
            document = documents[result["index"]]
            metadata = {**document.metadata, "relevance_score": result["relevance_score"]}
            compressed.append(document.model_copy(update={"metadata": metadata}))
        return compressed


def _text(document: str | Document | dict[str, Any], position: int) -> str:
    if isinstance(document, Document):
        return document.page_content
    if not isinstance(document, dict):
        return document
    for key in ("text", "page_content"):
        if key in document:
            return document[key]  # type: ignore[no-any-return]  # Reranker.rank checks every text
    raise InputTypeError(
        f'documents[{position}] has the keys {list(document)}, expected "text" or "page_content"'
    )
