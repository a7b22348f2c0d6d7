"""What LlamaIndex expects of a postprocessor, and the defects of its other rerankers, kept out by tests."""

import asyncio
import copy
import json
import pickle
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.instrumentation.span_handlers import NullSpanHandler
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import (
    Document,
    ImageNode,
    IndexNode,
    MetadataMode,
    Node,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from pydantic import ConfigDict, Field, ValidationError
from support_frameworks import (
    ANSWERS,
    PASSAGES,
    QUESTION,
    TINY_MODEL,
    bundled_reranker,
    run_python,
    tiny_reranker,
)

from laterank import (
    CacheError,
    InputError,
    InputTypeError,
    MemoryCache,
    ModelNotFoundError,
    ProviderError,
    Reranker,
)
from laterank.cache.warming import Warmed
from laterank.llama_index import CacheWarmer, ColbertRerank


class FoundNode(NodeWithScore):
    """A scored node with a field of its own."""

    retriever: str = "vector"


def nodes() -> list[NodeWithScore]:
    """Make the passages anew, each with an id and a retrieval score."""
    return [
        NodeWithScore(node=TextNode(id_=name, text=text), score=1 - position / 100)
        for position, (name, text) in enumerate(PASSAGES.items())
    ]


def tiny(**options: Any) -> ColbertRerank:
    """Build a postprocessor that shares the tiny model."""
    return ColbertRerank(reranker=tiny_reranker(), **options)


def summary(ranked: list[NodeWithScore]) -> list[tuple[str, float | None]]:
    """Reduce nodes to their ids and scores."""
    return [(node.node_id, node.score) for node in ranked]


class EventLog(BaseEventHandler):
    """Keep the reranking events."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    events: list[BaseEvent] = Field(default_factory=list)

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        """Keep one event."""
        if isinstance(event, ReRankStartEvent | ReRankEndEvent | ExceptionEvent):
            self.events.append(event)


@contextmanager
def logged_events() -> Iterator[list[BaseEvent]]:
    """Collect what LlamaIndex's root dispatcher hears."""
    log, root = EventLog(), get_dispatcher()
    root.add_event_handler(log)
    try:
        yield log.events
    finally:
        root.event_handlers.remove(log)


class SpanLog(NullSpanHandler):
    """Keep the errors that spans end with."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    dropped: list[BaseException | None] = Field(default_factory=list)

    def span_drop(self, *args: Any, err: BaseException | None = None, **kwargs: Any) -> None:
        """Keep one error."""
        self.dropped.append(err)


class CallbackLog(BaseCallbackHandler):
    """Keep callbacks; its lock makes it impossible to pickle or to copy deeply, as those of many tracers."""

    def __init__(self) -> None:
        super().__init__(event_starts_to_ignore=[], event_ends_to_ignore=[])
        self.lock = threading.Lock()
        self.starts: list[tuple[CBEventType, dict[str, Any]]] = []
        self.ends: list[tuple[CBEventType, dict[str, Any]]] = []

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **kwargs: Any,
    ) -> str:
        """Keep a start."""
        self.starts.append((event_type, payload or {}))
        return event_id

    def on_event_end(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        **kwargs: Any,
    ) -> None:
        """Keep an end."""
        self.ends.append((event_type, payload or {}))

    def start_trace(self, trace_id: str | None = None) -> None:
        """Keep nothing of a trace."""

    def end_trace(self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None) -> None:
        """Keep nothing of a trace."""


# What comes back


@pytest.mark.parametrize("question", ANSWERS)
def test_the_embedded_model_puts_the_answer_first(question: str) -> None:
    """With no arguments at all, the passage that answers a question comes first, of two as elsewhere."""
    ranked = ColbertRerank().postprocess_nodes(nodes(), query_str=question)
    assert ranked[0].node_id == ANSWERS[question]
    assert len(ranked) == 2


def test_nodes_come_back_best_first() -> None:
    """Scores never rise from one node to the next."""
    ranked = tiny(top_n=None).postprocess_nodes(nodes(), query_str=QUESTION)
    assert all(before.get_score() >= after.get_score() for before, after in pairwise(ranked))


def test_each_score_belongs_to_its_node() -> None:
    """A score in a batch is the score that the same text has alone (llama_index #20597)."""
    for node in tiny(top_n=None).postprocess_nodes(nodes(), query_str=QUESTION):
        (alone,) = tiny_reranker().rank(QUESTION, [node.text])
        assert node.score == pytest.approx(alone.score, abs=1e-5)
        assert node.text == PASSAGES[node.node_id]


@pytest.mark.parametrize("keep_retrieval_score", [False, True])
def test_the_callers_nodes_stay_as_they_were(keep_retrieval_score: bool) -> None:
    """Neither the scored nodes nor the nodes inside change; the results are other objects."""
    given = nodes()
    ranked = tiny(top_n=None, keep_retrieval_score=keep_retrieval_score).postprocess_nodes(
        given, query_str=QUESTION
    )
    assert given == nodes()
    assert not {id(node) for node in ranked} & {id(node) for node in given}


def test_a_subclass_of_a_scored_node_stays_one() -> None:
    """A scored node class with further fields comes back as that class, fields included."""
    (ranked,) = tiny().postprocess_nodes(
        [FoundNode(node=TextNode(text="Bees dance."), retriever="bm25")], query_str=QUESTION
    )
    assert isinstance(ranked, FoundNode)
    assert ranked.retriever == "bm25"


def test_scores_are_python_floats() -> None:
    """A score is a float that JSON takes, not numpy's (llama_index #16743)."""
    given = nodes()
    given[0].score = np.float32(0.5)
    ranked = tiny(top_n=None, keep_retrieval_score=True).postprocess_nodes(given, query_str=QUESTION)
    assert {type(node.score) for node in ranked} == {float}
    assert {type(node.metadata["retrieval_score"]) for node in ranked} == {float}
    assert json.loads(json.dumps([node.to_dict() for node in ranked]))


def test_the_retrieval_score_is_kept_on_request() -> None:
    """keep_retrieval_score copies the first score into the metadata of a copied node, None included."""
    given = [*nodes(), NodeWithScore(node=TextNode(id_="unscored", text="Bees dance."))]
    before = {node.node_id: node.score for node in given}
    kept = tiny(top_n=None, keep_retrieval_score=True).postprocess_nodes(given, query_str=QUESTION)
    assert {node.node_id: node.metadata["retrieval_score"] for node in kept} == before
    plain = tiny(top_n=None).postprocess_nodes(given, query_str=QUESTION)
    assert not any("retrieval_score" in node.metadata for node in plain)


@pytest.mark.parametrize("mode", [MetadataMode.EMBED, MetadataMode.LLM])
def test_a_kept_retrieval_score_is_not_read_as_text(mode: MetadataMode) -> None:
    """The text that a second reranker or an LLM reads is the same with the score kept."""
    kept = tiny(top_n=None, keep_retrieval_score=True).postprocess_nodes(nodes(), query_str=QUESTION)
    assert {n.node_id: n.get_content(metadata_mode=mode) for n in kept} == PASSAGES


def test_no_nodes_give_no_nodes() -> None:
    """An empty retrieval stays empty."""
    assert tiny().postprocess_nodes([], query_str=QUESTION) == []


def test_patience_without_a_top_n_is_refused_as_everywhere() -> None:
    """Keeping all nodes is no top_n that a passage could fail to reach."""
    with pytest.raises(InputError, match="patience is 1 and top_n is None"):
        tiny(top_n=None, patience=1).postprocess_nodes(nodes(), query_str=QUESTION)


def test_nodes_without_text_come_last() -> None:
    """An image and an empty node are no error and never outrank a node with text."""
    image = NodeWithScore(node=ImageNode(id_="image", image_url="https://example.org/bee.png"), score=0.9)
    empty = NodeWithScore(node=Node(id_="empty"), score=0.8)
    ranked = tiny(top_n=None).postprocess_nodes([image, empty, *nodes()], query_str=QUESTION)
    assert {node.node_id for node in ranked[-2:]} == {"image", "empty"}


def test_an_index_node_is_ranked_by_its_text() -> None:
    """A node that points at another index is a node with text."""
    pointer = IndexNode(id_="pointer", text=PASSAGES["penicillin"], index_id="medicine")
    ranked = tiny(top_n=None).postprocess_nodes(
        [NodeWithScore(node=pointer), *nodes()], query_str=PASSAGES["penicillin"]
    )
    scores = {node.node_id: node.score for node in ranked}
    assert scores["pointer"] == pytest.approx(scores["penicillin"], abs=1e-5)
    assert any(isinstance(node.node, IndexNode) for node in ranked)


def test_the_metadata_mode_says_what_the_model_reads() -> None:
    """By default the model reads the text for embeddings; another mode reads that mode's text."""
    node = TextNode(
        text="Bees dance.",
        metadata={"title": "Insects", "path": "a.txt", "page": "7"},
        excluded_embed_metadata_keys=["path"],
        excluded_llm_metadata_keys=["page"],
    )
    for mode in (None, MetadataMode.EMBED, MetadataMode.LLM, MetadataMode.NONE, MetadataMode.ALL):
        options = {} if mode is None else {"metadata_mode": mode}
        (ranked,) = tiny(**options).postprocess_nodes([NodeWithScore(node=node)], query_str=QUESTION)
        text = node.get_content(metadata_mode=mode or MetadataMode.EMBED)
        assert ranked.score == pytest.approx(tiny_reranker().rank(QUESTION, [text])[0].score, abs=1e-5)


# The query


def test_a_missing_query_is_a_value_error() -> None:
    """Without a query there is nothing to rank by (llama_index #8817)."""
    with pytest.raises(ValueError, match="query_str"):
        tiny().postprocess_nodes(nodes())


def test_a_plain_string_in_place_of_a_query_bundle_is_a_value_error() -> None:
    """The second positional argument is a QueryBundle, and the error says so."""
    with pytest.raises(ValueError, match="QueryBundle"):
        tiny().postprocess_nodes(nodes(), QUESTION)


def test_a_query_bundle_and_a_query_string_rank_the_same() -> None:
    """Both ways to pass a query do."""
    by_string = tiny().postprocess_nodes(nodes(), query_str=QUESTION)
    assert summary(tiny().postprocess_nodes(nodes(), QueryBundle(QUESTION))) == summary(by_string)


@pytest.mark.parametrize("wrong", [TextNode(text="Bees dance."), "Bees dance.", None])
def test_a_bare_node_is_named_by_its_position(wrong: object) -> None:
    """A node that was not wrapped in NodeWithScore is an error that says what to do (llama_index PR #13171)."""
    with pytest.raises(InputTypeError, match=r"nodes\[1\].*NodeWithScore"):
        tiny().postprocess_nodes([*nodes()[:1], wrong], query_str=QUESTION)


@pytest.mark.parametrize("wrong", [None, "Bees dance.", nodes()[0], 7])
def test_what_is_no_list_of_nodes_is_said_to_be_none(wrong: object) -> None:
    """None is a retriever that failed, not one that found nothing; one node is no list of its fields."""
    with pytest.raises(InputTypeError, match=r"nodes is \S+, expected a list of NodeWithScore"):
        tiny().postprocess_nodes(wrong, query_str=QUESTION)  # type: ignore[arg-type]


# How many come back


@pytest.mark.parametrize(("top_n", "expected"), [(1, 1), (12, 12), (99, 12), (None, 12)])
def test_top_n_says_how_many_nodes_come_back(top_n: int | None, expected: int) -> None:
    """None keeps all, and so does a number beyond the nodes (LocalAI #6700)."""
    assert len(tiny(top_n=top_n).postprocess_nodes(nodes(), query_str=QUESTION)) == expected


@pytest.mark.parametrize("top_n", [0, -1, True, 2.0, "3"])
def test_a_top_n_that_is_no_positive_integer_is_refused(top_n: object) -> None:
    """Construction and assignment refuse it."""
    with pytest.raises(ValidationError, match="top_n"):
        tiny(top_n=top_n)
    postprocessor = tiny()
    with pytest.raises(ValidationError, match="top_n"):
        postprocessor.top_n = top_n


def test_the_threshold_drops_nodes_that_score_less() -> None:
    """score_threshold keeps the nodes at or above it."""
    everything = tiny(top_n=None).postprocess_nodes(nodes(), query_str=QUESTION)
    threshold = everything[4].get_score()
    kept = tiny(top_n=None, score_threshold=threshold).postprocess_nodes(nodes(), query_str=QUESTION)
    assert summary(kept) == [entry for entry in summary(everything) if (entry[1] or 0) >= threshold]
    assert tiny(score_threshold=1.5).postprocess_nodes(nodes(), query_str=QUESTION) == []


def test_a_copy_with_another_top_n_shares_the_model() -> None:
    """model_copy is the way to another top_n for one call; it loads nothing and changes no original."""
    postprocessor = tiny(top_n=5)
    narrow = postprocessor.model_copy(update={"top_n": 1})
    assert narrow.reranker is postprocessor.reranker
    assert (narrow.top_n, postprocessor.top_n) == (1, 5)
    with pytest.raises(ValidationError, match="top_n"):
        postprocessor.model_copy(update={"top_n": 0})
    with pytest.raises(ValidationError, match="frozen"):
        postprocessor.model_copy(update={"model": "elsewhere"})


# Building one


def test_it_is_a_postprocessor() -> None:
    """Whatever takes a BaseNodePostprocessor takes this one, under a class name of its own."""
    assert issubclass(ColbertRerank, BaseNodePostprocessor)
    assert ColbertRerank.class_name() == "LaterankColbertRerank"


def test_the_model_may_be_a_path() -> None:
    """A path object, a string and a loaded reranker give the same scores."""
    expected = summary(tiny().postprocess_nodes(nodes(), query_str=QUESTION))
    for model in (TINY_MODEL, str(TINY_MODEL)):
        postprocessor = ColbertRerank(model=model)
        assert postprocessor.model == str(TINY_MODEL)
        assert summary(postprocessor.postprocess_nodes(nodes(), query_str=QUESTION)) == expected


def test_a_shared_reranker_gives_its_name_to_the_field_model() -> None:
    """Two postprocessors share one loaded model, and both say which."""
    first, second = tiny(top_n=1), tiny(top_n=2)
    assert first.reranker is second.reranker is tiny_reranker()
    assert first.model == second.model == tiny_reranker().name
    assert ColbertRerank(reranker=Reranker.from_pretrained(TINY_MODEL, score="sum")).score == "sum"


@pytest.mark.parametrize(
    "option",
    [
        {"model": "bundled"},
        {"revision": "main"},
        {"quantized": True},
        {"providers": ["CPUExecutionProvider"]},
        {"threads": 1},
        {"local_files_only": True},
        {"score": "sum"},
        {"truncate_dim": 8},
        {"pool_factor": 2},
        {"onnx_file": "model.onnx"},
        {"cache": "rows.sqlite"},
    ],
)
def test_a_reranker_and_an_option_that_loads_one_are_refused_together(option: dict[str, object]) -> None:
    """An option that could have no effect is an error that names it."""
    with pytest.raises(ValidationError, match=next(iter(option))):
        tiny(**option)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_keeps_documents_on_disk(tmp_path: Path, kind: type) -> None:
    """The next postprocessor with that path finds them; the option survives a dump."""
    path = kind(tmp_path / "rows.sqlite")
    first = ColbertRerank(model=TINY_MODEL, cache=path)
    expected = summary(first.postprocess_nodes(nodes(), query_str=QUESTION))
    second = ColbertRerank.from_json(first.to_json())
    assert second.cache == str(path)
    assert summary(second.postprocess_nodes(nodes(), query_str=QUESTION)) == expected
    assert second.reranker.cache.stats().misses == 0


@pytest.mark.parametrize("mode", [MetadataMode.EMBED, MetadataMode.NONE, MetadataMode.ALL])
def test_nodes_are_warmed_with_the_text_that_is_ranked(mode: MetadataMode, tmp_path: Path) -> None:
    """Metadata and templates included; bare and scored nodes alike."""
    postprocessor = ColbertRerank(model=TINY_MODEL, cache=tmp_path / "rows.sqlite", metadata_mode=mode)
    given = nodes()
    for number, node in enumerate(given):
        node.node.metadata = {"page": number, "secret": "x"}
        node.node.excluded_embed_metadata_keys = ["secret"]
    assert postprocessor.warm(node.node for node in given) == Warmed(len(given), len(given), 0)
    assert postprocessor.warm(given) == Warmed(len(given), 0, len(given))
    postprocessor.postprocess_nodes(given, query_str=QUESTION)
    assert postprocessor.reranker.cache.stats().misses == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [("text", "documents is str"), (["text"], r"nodes\[0\] is a str, expected a node"), (None, "NoneType")],
)
def test_what_is_no_node_cannot_be_warmed(given: object, message: str) -> None:
    """It is named by its position."""
    with pytest.raises(InputTypeError, match=message):
        ColbertRerank(model=TINY_MODEL).warm(given)


async def test_an_ingestion_pipeline_warms_the_cache(tmp_path: Path) -> None:
    """Its nodes go through unchanged, called either way, and all of them are found when they are ranked."""
    for way in ("run", "arun"):
        reranker = ColbertRerank(model=TINY_MODEL, cache=tmp_path / way)
        pipeline = IngestionPipeline(
            transformations=[SentenceSplitter(chunk_size=40, chunk_overlap=5), CacheWarmer(reranker=reranker)]
        )
        texts = [Document(text=text, metadata={"name": name}) for name, text in PASSAGES.items()]
        result = pipeline.run(documents=texts) if way == "run" else await pipeline.arun(documents=texts)
        assert len(result) >= len(texts)
        assert reranker.reranker.cache.stats().documents == len(result)
        reranker.postprocess_nodes([NodeWithScore(node=node) for node in result], query_str=QUESTION)
        assert reranker.reranker.cache.stats().misses == 0
        assert pipeline.run(documents=texts) == result


def test_a_warmer_takes_a_shared_reranker() -> None:
    """The pipeline's own cache asks for a dictionary of its options, which a given reranker must not prevent."""
    shared = Reranker.from_pretrained(TINY_MODEL)
    warmer = CacheWarmer(reranker=ColbertRerank(reranker=shared))
    found = [node.node for node in nodes()]
    assert IngestionPipeline(transformations=[warmer]).run(nodes=found) == found
    assert shared.cache.stats().documents == len(found)
    assert warmer.class_name() == "LaterankCacheWarmer"


def test_an_unknown_option_is_refused() -> None:
    """A misspelt option is an error and not ignored, as LlamaIndex's base class would."""
    with pytest.raises(ValidationError, match="topn"):
        ColbertRerank(topn=5)


def test_a_model_that_is_nowhere_is_an_error_at_construction(tmp_path: Path) -> None:
    """A wrong folder or hub name does not wait for the first query."""
    with pytest.raises(ModelNotFoundError):
        ColbertRerank(model=tmp_path / "nothing")
    with pytest.raises(ModelNotFoundError):
        ColbertRerank(model="nobody/no-such-model", revision="main", local_files_only=True)


def test_a_provider_that_is_not_there_is_an_error() -> None:
    """An execution provider is never replaced by another in silence (lancedb #1641)."""
    with pytest.raises(ProviderError, match="NoSuchExecutionProvider"):
        ColbertRerank(model=TINY_MODEL, providers=["NoSuchExecutionProvider"]).postprocess_nodes(
            nodes(), query_str=QUESTION
        )


def test_the_options_reach_the_model() -> None:
    """The sum of MaxSim keeps the order of the mean, and one thread on the CPU its scores."""
    mean = tiny(top_n=None).postprocess_nodes(nodes(), query_str=QUESTION)
    options: dict[str, Any] = {"providers": ["CPUExecutionProvider"], "threads": 1, "top_n": None}
    same = ColbertRerank(model=TINY_MODEL, **options).postprocess_nodes(nodes(), query_str=QUESTION)
    total = ColbertRerank(model=TINY_MODEL, score="sum", **options).postprocess_nodes(
        nodes(), query_str=QUESTION
    )
    order = [node.node_id for node in mean]
    assert [node.node_id for node in same] == [node.node_id for node in total] == order
    assert same[0].score == pytest.approx(mean[0].score, abs=1e-5)
    assert total[0].get_score() > 1 >= mean[0].get_score()


# Events


def test_one_start_and_one_end_event_tell_of_a_reranking() -> None:
    """The events carry the query, the nodes before and after, the number and the model."""
    postprocessor, given, bundle = tiny(top_n=3), nodes(), QueryBundle(QUESTION)
    with logged_events() as events:
        ranked = postprocessor.postprocess_nodes(given, bundle)
    start, end = events
    assert isinstance(start, ReRankStartEvent)
    assert isinstance(end, ReRankEndEvent)
    assert (start.query, start.nodes, start.top_n) == (bundle, given, 3)
    assert start.model_name == tiny_reranker().name
    assert end.nodes == ranked


def test_the_start_event_of_all_nodes_carries_their_number() -> None:
    """The field top_n of the event is an integer where None keeps all (llama_index #15016)."""
    with logged_events() as events:
        tiny(top_n=None).postprocess_nodes(nodes(), query_str=QUESTION)
    assert isinstance(events[0], ReRankStartEvent)
    assert events[0].top_n == 12


@pytest.mark.parametrize(
    ("given", "query"),
    [
        (nodes(), None),
        (nodes(), QueryBundle(" ")),
        ([TextNode(text="bare")], QueryBundle(QUESTION)),
        ([], QueryBundle(QUESTION)),
    ],
    ids=["no query", "blank query", "bare node", "no nodes"],
)
def test_a_call_that_ranks_nothing_emits_nothing(given: list[Any], query: QueryBundle | None) -> None:
    """No start event stays without its end event."""
    log = CallbackLog()
    postprocessor = tiny(callback_manager=CallbackManager([log]))
    with logged_events() as events:
        if given:
            with pytest.raises(InputError):
                postprocessor.postprocess_nodes(given, query)
        else:
            assert postprocessor.postprocess_nodes(given, query) == []
    assert events == log.starts == log.ends == []


@pytest.mark.parametrize(
    "options", [{"fusion": "rrf", "budget": 3}, {"fusion": "weighted"}], ids=["clash", "no scores"]
)
def test_options_that_cannot_work_emit_nothing(options: dict[str, Any]) -> None:
    """They clash, or the nodes lack what they need: known before the start event."""
    unscored = [NodeWithScore(node=node.node) for node in nodes()]
    with logged_events() as events, pytest.raises(InputError):
        tiny(**options).postprocess_nodes(unscored, QueryBundle(QUESTION))
    assert events == []


def test_a_model_that_cannot_be_loaded_emits_nothing() -> None:
    """A missing provider shows before the start event, too."""
    postprocessor = ColbertRerank(model=TINY_MODEL, providers=["NoSuchExecutionProvider"])
    with logged_events() as events, pytest.raises(ProviderError):
        postprocessor.postprocess_nodes(nodes(), QueryBundle(QUESTION))
    assert events == []


class BrokenRows(MemoryCache):
    """Gives rows that no score can be made of."""

    def get_many(self, keys: Sequence[bytes]) -> list[Any]:
        return [np.full((1, tiny_reranker().encoder.dim), np.nan, dtype=np.float32) for _ in keys]


@pytest.mark.parametrize(
    ("options", "error"),
    [({"long_documents": "error"}, InputError), ({"cache": BrokenRows()}, CacheError)],
    ids=["a node that is too long", "a score that is NaN"],
)
def test_an_error_while_ranking_ends_what_was_started(
    options: dict[str, Any], error: type[Exception]
) -> None:
    """Events, callbacks and spans hear of it, and none of them hears of an end without an error."""
    log, spans, root = CallbackLog(), SpanLog(), get_dispatcher()
    given = [NodeWithScore(node=TextNode(text="planet " * 100), score=1.0)]
    postprocessor = ColbertRerank(
        reranker=Reranker(tiny_reranker().encoder, **options), callback_manager=CallbackManager([log])
    )
    root.add_span_handler(spans)
    try:
        with logged_events() as events, pytest.raises(error) as raised:
            postprocessor.postprocess_nodes(given, query_str=QUESTION)
    finally:
        root.span_handlers.remove(spans)
    start, end = events
    assert isinstance(start, ReRankStartEvent)
    assert isinstance(end, ExceptionEvent)
    assert end.exception is raised.value
    assert end.span_id == start.span_id
    assert [kind for kind, _ in log.starts] == [kind for kind, _ in log.ends] == [CBEventType.RERANKING]
    assert log.ends[0][1] == {EventPayload.EXCEPTION: raised.value}
    assert spans.dropped == [raised.value]


@pytest.mark.parametrize("assigned", [False, True], ids=["passed", "assigned"])
def test_callbacks_hear_of_a_reranking(assigned: bool) -> None:
    """The callback manager gets one RERANKING event, whether passed or assigned as query engines do."""
    log = CallbackLog()
    manager = CallbackManager([log])
    postprocessor = tiny(top_n=3) if assigned else tiny(top_n=3, callback_manager=manager)
    if assigned:
        postprocessor.callback_manager = manager
    given = nodes()
    ranked = postprocessor.postprocess_nodes(given, query_str=QUESTION)
    ((started, payload),) = log.starts
    ((ended, result),) = log.ends
    assert started == ended == CBEventType.RERANKING
    assert payload == {
        EventPayload.NODES: given,
        EventPayload.MODEL_NAME: tiny_reranker().name,
        EventPayload.QUERY_STR: QUESTION,
        EventPayload.TOP_K: 3,
    }
    assert result == {EventPayload.NODES: ranked}


# Dumps and copies


@pytest.mark.parametrize("way", ["dict", "json"])
def test_options_survive_a_round_trip(way: str) -> None:
    """from_dict(to_dict()) and from_json(to_json()) build a postprocessor that ranks the same."""
    postprocessor = ColbertRerank(
        model=TINY_MODEL,
        threads=1,
        providers=["CPUExecutionProvider"],
        top_n=None,
        score_threshold=-0.5,
        keep_retrieval_score=True,
        metadata_mode=MetadataMode.NONE,
    )
    if way == "dict":
        rebuilt = ColbertRerank.from_dict(postprocessor.to_dict())
    else:
        rebuilt = ColbertRerank.from_json(postprocessor.to_json())
    assert rebuilt.to_dict() == postprocessor.to_dict()
    assert "reranker" not in rebuilt.to_dict()
    assert summary(rebuilt.postprocess_nodes(nodes(), query_str=QUESTION)) == summary(
        postprocessor.postprocess_nodes(nodes(), query_str=QUESTION)
    )


def test_options_may_change_on_the_way_back() -> None:
    """from_dict takes overrides, a callback manager among them."""
    manager = CallbackManager()
    rebuilt = ColbertRerank.from_dict(ColbertRerank().to_dict(), top_n=7, callback_manager=manager)
    assert rebuilt.top_n == 7
    assert rebuilt.callback_manager is manager


def test_a_given_reranker_is_not_turned_into_a_dictionary() -> None:
    """A dictionary could not rebuild a reranker that was passed in, and says so in place of losing it."""
    for dump in (tiny().to_dict, tiny().to_json):
        with pytest.raises(InputError, match="pickle"):
            dump()
    assert ColbertRerank(reranker=None).to_dict()["model"] == "bundled"


def test_the_options_have_a_json_schema() -> None:
    """Tools that build forms from a schema see the options and not the loaded model."""
    properties = ColbertRerank.model_json_schema()["properties"]
    assert {"model", "top_n", "metadata_mode"} <= set(properties)
    assert "reranker" not in properties


@pytest.mark.parametrize(
    "duplicate",
    [
        lambda postprocessor: pickle.loads(pickle.dumps(postprocessor)),
        copy.copy,
        copy.deepcopy,
        lambda postprocessor: postprocessor.model_copy(deep=True),
    ],
    ids=["pickle", "copy", "deepcopy", "model_copy"],
)
@pytest.mark.parametrize("shared", [True, False], ids=["given reranker", "own reranker"])
def test_a_duplicate_ranks_the_same(duplicate: Any, shared: bool) -> None:
    """Pickles and copies work after the model has run, whoever loaded it."""
    postprocessor = tiny(top_n=4) if shared else ColbertRerank(model=TINY_MODEL, top_n=4)
    expected = summary(postprocessor.postprocess_nodes(nodes(), query_str=QUESTION))
    duplicated = duplicate(postprocessor)
    assert duplicated.model_dump() == postprocessor.model_dump()
    assert summary(duplicated.postprocess_nodes(nodes(), query_str=QUESTION)) == expected
    assert summary(postprocessor.postprocess_nodes(nodes(), query_str=QUESTION)) == expected


def test_a_pickle_leaves_callbacks_behind_and_the_original_whole() -> None:
    """A handler that cannot be pickled is no obstacle, and the pickled object keeps it."""
    log = CallbackLog()
    postprocessor = tiny(callback_manager=CallbackManager([log]))
    unpickled = pickle.loads(pickle.dumps(postprocessor))
    assert unpickled.callback_manager.handlers == []
    assert unpickled.postprocess_nodes(nodes(), query_str=QUESTION)
    assert log.starts == []
    assert postprocessor.postprocess_nodes(nodes(), query_str=QUESTION)
    assert len(log.starts) == len(log.ends) == 1


# Threads and the event loop


async def test_many_queries_at_once_rank_as_one_after_the_other() -> None:
    """Concurrent calls on one postprocessor share no state."""
    postprocessor = tiny(top_n=None)
    queries = [*ANSWERS, *PASSAGES.values()]
    expected = [summary(postprocessor.postprocess_nodes(nodes(), query_str=query)) for query in queries]
    ranked = await asyncio.gather(
        *(postprocessor.apostprocess_nodes(nodes(), query_str=query) for query in queries)
    )
    assert [summary(r) for r in ranked] == expected


def test_threads_share_one_postprocessor() -> None:
    """A fresh postprocessor that several threads use first at the same time ranks as one thread does."""
    postprocessor = ColbertRerank(model=TINY_MODEL, top_n=None)

    def order(ranker: ColbertRerank) -> list[str]:
        return [node.node_id for node in ranker.postprocess_nodes(nodes(), query_str=QUESTION)]

    with ThreadPoolExecutor(max_workers=8) as pool:
        orders = list(pool.map(lambda _: order(postprocessor), range(16)))
    assert orders == [order(tiny(top_n=None))] * 16


async def test_the_event_loop_runs_on_while_nodes_are_reranked() -> None:
    """Other tasks keep running during a long rerank (llama_index #16911, #19379)."""
    long_nodes = [
        NodeWithScore(node=TextNode(text=" ".join([*PASSAGES.values(), str(n)] * 2))) for n in range(60)
    ]
    postprocessor = tiny()
    postprocessor.postprocess_nodes(nodes(), query_str=QUESTION)  # so that the model is loaded
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.perf_counter())
            await asyncio.sleep(0.001)

    heart = asyncio.create_task(beat())
    started = time.perf_counter()
    await postprocessor.apostprocess_nodes(long_nodes, query_str=QUESTION)
    ended = time.perf_counter()
    heart.cancel()
    during = [moment for moment in beats if started < moment < ended]
    assert len(during) >= 5, f"{len(during)} beats in {ended - started:.3f} s"


async def test_a_cancelled_call_harms_no_later_one() -> None:
    """Cancelling drops one result and nothing else."""
    postprocessor, given = tiny(), nodes()
    expected = summary(postprocessor.postprocess_nodes(given, query_str=QUESTION))
    call = asyncio.create_task(postprocessor.apostprocess_nodes(given, query_str=QUESTION))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert summary(await postprocessor.apostprocess_nodes(given, query_str=QUESTION)) == expected
    assert given == nodes()


async def test_an_error_in_the_background_reaches_the_caller() -> None:
    """What the thread raised is raised by await, type and message kept."""
    with pytest.raises(ValueError, match="query_str"):
        await tiny().apostprocess_nodes(nodes())


# Without LlamaIndex


def test_without_llama_index_the_import_says_what_to_install() -> None:
    """The error names the extra and keeps its cause; the package itself imports without LlamaIndex."""
    printed = run_python(
        "import sys\n"
        "sys.modules['llama_index'] = None\n"
        "sys.modules['llama_index.core'] = None\n"
        "import laterank\n"
        "try:\n"
        "    import laterank.llama_index\n"
        "except ImportError as error:\n"
        "    print(error, '|', type(error.__cause__).__name__)\n"
    )
    assert 'pip install "laterank[llama-index]" | ModuleNotFoundError' in printed


def test_the_adapter_imports_no_other_framework() -> None:
    """The adapter needs llama-index-core and neither LangChain nor torch."""
    printed = run_python(
        "import sys, laterank.llama_index\n"
        "print(sorted({'langchain', 'langchain_core', 'torch', 'transformers'} & set(sys.modules)))\n"
    )
    assert printed.strip() == "[]"


def test_the_embedded_model_is_shared_by_both_frameworks() -> None:
    """One loaded embedded model serves a LangChain compressor and a LlamaIndex postprocessor."""
    pytest.importorskip("langchain_core")
    from laterank import langchain

    postprocessor = ColbertRerank(reranker=bundled_reranker(), top_n=None)
    compressor = langchain.ColbertRerank(reranker=bundled_reranker(), top_n=None)
    ranked = postprocessor.postprocess_nodes(nodes(), query_str=QUESTION)
    results = compressor.rerank(list(PASSAGES.values()), QUESTION)
    names = list(PASSAGES)
    assert [(names[r["index"]], r["relevance_score"]) for r in results] == summary(ranked)
