"""``ColbertRerank`` for LangChain: a document compressor that reranks with a late-interaction model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from laterank.errors import InputTypeError

try:
    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from pydantic import Field
except ImportError as error:
    raise ImportError(
        'laterank.langchain needs langchain-core: pip install langchain-core, or pip install "laterank[langchain]"'
    ) from error

from laterank.adapter import RerankOptions, place_metadata, without_places
from laterank.cache.warming import Progress, Warmed
from laterank.ranking import RankedDocument

__all__ = ["ColbertRerank", "RerankResult"]


class RerankResult(TypedDict):
    """One entry of what ``ColbertRerank.rerank`` returns."""

    index: int
    relevance_score: float


class ColbertRerank(RerankOptions, BaseDocumentCompressor):
    """Rerank retrieved documents with a late-interaction (ColBERT) model.

    Documents come back as copies, best first, with ``metadata["relevance_score"]``, and with
    ``metadata["relevance_truncated"]`` or ``["relevance_window"]`` where they are longer than the model reads; one that an
    early exit left unread has ``["relevance_scored"]`` False. With a ``fusion`` the order is that of ``metadata["fused_score"]``, beside ``["retrieval_rank"]``. The model is found when
    the object is built, loaded at the first call and shared by copies. ``reranker`` takes a `laterank.Reranker`
    in place of the options that load one: to share a model, or to load one with a token.
    ``model_dump`` leaves it out.

    Raises:
        pydantic.ValidationError: If an option is unknown or out of range, or ``reranker`` comes together with
            an option that loads a model.
        ModelError: If the model cannot be found, read or run as asked.

    Examples:
        ```python
        from langchain_classic.retrievers import ContextualCompressionRetriever
        from laterank.langchain import ColbertRerank

        retriever = ContextualCompressionRetriever(
            base_compressor=ColbertRerank(top_n=5),
            base_retriever=vector_store.as_retriever(search_kwargs={"k": 50}),
        )
        ```
    """

    top_n: int | None = Field(
        default=3, ge=1, strict=True, description="How many documents to keep; None: all."
    )
    retrieval_score_key: str = Field(
        default="score",
        description="The metadata key of the retriever's score, higher for better; a weighted fusion needs it.",
    )

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
        if not isinstance(documents, Sequence) or isinstance(documents, (str, bytes)):
            raise InputTypeError(f"documents is {type(documents).__name__}, expected a list of documents")
        places = self._places(documents, query, top_n=self.top_n if top_n == -1 else top_n)
        return [{"index": place.index, "relevance_score": place.score} for place in places]

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return copies of the best ``top_n`` documents, best first, each with its score in the metadata."""
        if isinstance(documents, (str, bytes, Document)) or not isinstance(documents, Iterable):
            raise InputTypeError(
                f"documents is {_class_name(documents)}, expected a list of Documents of langchain_core"
            )
        documents = list(documents)
        for position, document in enumerate(documents):
            if not isinstance(document, Document):
                raise InputTypeError(
                    f"documents[{position}] is a {_class_name(document)}, expected a Document of langchain_core; rerank() "
                    "takes texts"
                )
        compressed = []
        for place in self._places(documents, query, top_n=self.top_n):
            document = documents[place.index]
            metadata = {
                **without_places(document.metadata),
                "relevance_score": place.score,
                **place_metadata(place, self._first_score(document)),
            }
            compressed.append(document.model_copy(update={"metadata": metadata}))
        return compressed

    def warm(
        self, documents: Iterable[str | Document | dict[str, Any]], *, progress: Progress = False
    ) -> Warmed:
        """Encode documents into the cache when they enter the vector store, so that no query has to.

        Args:
            documents: What ``rerank`` takes, or any iterable of it, such as what a text splitter made.
            progress: True for a bar where stderr is a terminal, or a function that is told how far it is.

        Returns:
            How many were read, how many had to be encoded, and how many were in the cache already.

        Raises:
            InputError: If there is no cache, or a document has no text.
        """
        return self._warm(documents, _text, progress=progress)

    def _places(
        self, documents: Sequence[str | Document | dict[str, Any]], query: str, *, top_n: int | None
    ) -> list[RankedDocument]:
        texts = [_text(document, position) for position, document in enumerate(documents)]
        first_scores = [self._first_score(document) for document in documents]
        where = f"in metadata[{self.retrieval_score_key!r}] (retrieval_score_key)"
        return self._rank(query, texts, first_scores, top_n=top_n, where=where)

    def _first_score(self, document: str | Document | dict[str, Any]) -> Any:
        return _metadata(document).get(self.retrieval_score_key)


def _class_name(given: object) -> str:
    """Name a class with its package: other frameworks have a ``Document``, too."""
    return f"{type(given).__module__}.{type(given).__qualname__}".removeprefix("builtins.")


def _metadata(document: str | Document | dict[str, Any]) -> Mapping[str, Any]:
    if isinstance(document, Document):
        return document.metadata
    found = document.get("metadata") if isinstance(document, dict) else None
    return found if isinstance(found, Mapping) else {}


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
