"""``ColbertRerank`` for LlamaIndex: a node postprocessor that reranks with a late-interaction model."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from laterank.errors import InputError, InputTypeError

try:
    from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
    from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # not in an __all__
    from llama_index.core.instrumentation.events.exception import ExceptionEvent
    from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TransformComponent
    from pydantic import BaseModel, Field
except ImportError as error:
    raise ImportError(
        'laterank.llama_index needs llama-index-core: pip install llama-index-core, or pip install "laterank[llama-index]"'
    ) from error

from laterank.adapter import RerankOptions, place_metadata, without_places
from laterank.cache.warming import Progress, Warmed
from laterank.ranking import RankedDocument

__all__ = ["CacheWarmer", "ColbertRerank"]

_dispatcher = get_dispatcher(__name__)


class ColbertRerank(RerankOptions, BaseNodePostprocessor):
    """Rerank retrieved nodes with a late-interaction (ColBERT) model.

    Nodes come back in new ``NodeWithScore`` objects, best first; nodes without text come last. One that is longer than the
    model reads is copied, with ``metadata["relevance_truncated"]`` or ``["relevance_window"]``; so is one that an early exit left unread, with
    ``["relevance_scored"]`` False. With a ``fusion`` the score is the mixed one, and ``metadata["relevance_score"]``, ``["retrieval_rank"]`` and ``["retrieval_score"]`` say what was. The model is
    found when the object is built, loaded at the first call and shared by copies. ``reranker`` takes a
    `laterank.Reranker` in place of the options that load one: to share a model, or to load one with a token. A pickle holds
    it, ``to_dict`` cannot.

    Raises:
        pydantic.ValidationError: If an option is unknown or out of range, or ``reranker`` comes together with
            an option that loads a model.
        ModelError: If the model cannot be found, read or run as asked.

    Examples:
        ```python
        from laterank.llama_index import ColbertRerank

        query_engine = index.as_query_engine(
            similarity_top_k=50, node_postprocessors=[ColbertRerank(top_n=5)]
        )
        ```
    """

    top_n: int | None = Field(default=2, ge=1, strict=True, description="How many nodes to keep; None: all.")
    keep_retrieval_score: bool = Field(
        default=False,
        description='Copy each node and keep its first score in metadata["retrieval_score"], '
        "which stays out of the text that an embedding model, a reranker or an LLM reads.",
    )
    metadata_mode: MetadataMode = Field(
        default=MetadataMode.EMBED, description="Which metadata the model reads with the text."
    )

    @classmethod
    def class_name(cls) -> str:
        """Name the class in dumps, apart from the ``ColbertRerank`` of LlamaIndex's own package."""
        return "LaterankColbertRerank"

    def __getstate__(self) -> dict[str, Any]:
        # BaseComponent's own deletes what cannot be pickled from the live object; handlers of callbacks can't.
        state = BaseModel.__getstate__(self)
        fields = {name: value for name, value in self.__dict__.items() if name != "callback_manager"}
        return {**state, "__dict__": fields}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # BaseComponent's own calls __init__ with every field, which would load the model anew.
        BaseModel.__setstate__(self, state)
        self.__dict__["callback_manager"] = CallbackManager()

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return the options, for ``from_dict``.

        Raises:
            InputError: If the reranker was given: its model's name alone does not rebuild it.
        """
        if "reranker" in self.model_fields_set:
            raise InputError(
                f"a reranker that was passed in ({self.model}) has no place in a dictionary or JSON: "
                "build ColbertRerank from model= and its loading options, or pickle it"
            )
        return super().to_dict(**kwargs)

    def warm(self, nodes: Iterable[BaseNode | NodeWithScore], *, progress: Progress = False) -> Warmed:
        """Encode nodes into the cache when they enter the index, so that no query has to.

        Args:
            nodes: With the metadata that they will be retrieved with, which the model reads as ``metadata_mode`` says.
            progress: True for a bar where stderr is a terminal, or a function that is told how far it is.

        Returns:
            How many were read, how many had to be encoded, and how many were in the cache already.

        Raises:
            InputError: If there is no cache, or something is no node, naming its position.
        """
        return self._warm(nodes, self._text, progress=progress)

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not isinstance(query_bundle, QueryBundle):
            raise InputError(
                f"the query is {query_bundle!r}: pass query_str= or query_bundle=QueryBundle(...)"
            )
        if isinstance(nodes, (str, bytes, BaseModel)) or not isinstance(nodes, Iterable):
            raise InputTypeError(f"nodes is {type(nodes).__name__}, expected a list of NodeWithScore")
        nodes = list(nodes)
        if not nodes:
            return []
        for position, node in enumerate(nodes):
            if not isinstance(node, NodeWithScore):
                raise InputTypeError(
                    f"nodes[{position}] is a {type(node).__name__}, expected a NodeWithScore: NodeWithScore(node=...)"
                )
        texts = [self._text(node, position) for position, node in enumerate(nodes)]
        first_scores, where = [node.score for node in nodes], "(node.score)"
        query, kept = query_bundle.query_str, self.top_n or len(nodes)
        # A bad query, option or model raises here, before the start event.
        self._check_first_scores(first_scores, where)
        self._rank(query, [], [], top_n=self.top_n, where=where)
        self.reranker.load()
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: self.model,
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: kept,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            _dispatcher.event(
                ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=kept, model_name=self.model)
            )
            try:
                ranked = self._rank(query, texts, first_scores, top_n=self.top_n, where=where)
                reranked = [self._placed(nodes[place.index], place) for place in ranked]
            except BaseException as error:  # the callbacks' event tells of it by itself
                _dispatcher.event(ExceptionEvent(exception=error))
                raise
            _dispatcher.event(ReRankEndEvent(nodes=reranked))
            event.on_end(payload={EventPayload.NODES: reranked})
        return reranked

    def _placed(self, found: NodeWithScore, place: RankedDocument) -> NodeWithScore:
        """Return the node with its score, copied where its metadata have more to say."""
        first = found.score
        added = place_metadata(place, first)
        if place.fused is not None:
            added["relevance_score"] = place.score
        if self.keep_retrieval_score:
            added["retrieval_score"] = None if first is None else float(first)
        score, kept = place.score if place.fused is None else place.fused, without_places(found.node.metadata)
        if not added and len(kept) == len(found.node.metadata):
            return found.model_copy(update={"score": score})
        hidden = {
            name: list(dict.fromkeys([*getattr(found.node, name), *added]))
            for name in ("excluded_embed_metadata_keys", "excluded_llm_metadata_keys")
        }
        node = found.node.model_copy(update={"metadata": {**kept, **added}, **hidden})
        return found.model_copy(update={"node": node, "score": score})

    def _text(self, node: BaseNode | NodeWithScore, position: int) -> str:
        bare = node.node if isinstance(node, NodeWithScore) else node
        if not isinstance(bare, BaseNode):
            raise InputTypeError(f"nodes[{position}] is a {type(bare).__name__}, expected a node")
        return bare.get_content(metadata_mode=self.metadata_mode)


class CacheWarmer(TransformComponent):
    """Warms a reranker's cache in an ingestion pipeline, and gives its nodes on as they are.

    Put it last, after what changes texts and metadata. With ``num_workers`` the pipeline transforms in other processes, so
    the cache must be on disk: ``ColbertRerank(cache="rows.sqlite")``.

    Examples:
        ```python
        from laterank.llama_index import CacheWarmer, ColbertRerank

        reranker = ColbertRerank(cache="rows.sqlite")
        pipeline = IngestionPipeline(transformations=[SentenceSplitter(), CacheWarmer(reranker=reranker)])
        ```
    """

    reranker: ColbertRerank = Field(description="The postprocessor that will rank the nodes.")

    @classmethod
    def class_name(cls) -> str:
        """Name the class in dumps."""
        return "LaterankCacheWarmer"

    def __call__(self, nodes: Sequence[BaseNode], **_: Any) -> Sequence[BaseNode]:
        """Encode what the cache lacks and return the nodes."""
        self.reranker.warm(nodes)
        return nodes

    async def acall(self, nodes: Sequence[BaseNode], **_: Any) -> Sequence[BaseNode]:
        """Do the same in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self, nodes)
