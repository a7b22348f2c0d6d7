"""The postprocessor in LlamaIndex's own pipelines, end to end and offline, with the embedded model."""

import json
from typing import Any
from uuid import UUID

import faiss
import pytest
from llama_index.core import (
    MockEmbedding,
    StorageContext,
    VectorStoreIndex,
    get_response_synthesizer,
)
from llama_index.core.base.response.schema import Response
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.chat_engine import CondensePlusContextChatEngine, ContextChatEngine
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import Document, NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.types import BasePydanticVectorStore
from llama_index.retrievers.bm25 import BM25Retriever
from llama_index.vector_stores.faiss import FaissVectorStore
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient
from support_frameworks import ANSWER, ANSWERS, PASSAGES, QUESTION, bundled_reranker

from laterank import Reranker
from laterank.llama_index import CacheWarmer, ColbertRerank

DIM = 8
# The same vector for every text: a retriever that knows nothing, and orders by the ids.
EMBEDDING = MockEmbedding(embed_dim=DIM)


def nodes() -> list[TextNode]:
    """Make the passages anew, each with its name in the metadata, where neither model reads it."""
    hidden = {"excluded_embed_metadata_keys": ["name"], "excluded_llm_metadata_keys": ["name"]}
    return [
        TextNode(id_=str(UUID(int=position)), text=text, metadata={"name": name}, **hidden)
        for position, (name, text) in enumerate(PASSAGES.items())
    ]


def index(store: BasePydanticVectorStore | None = None) -> VectorStoreIndex:
    """Index the passages."""
    context = None if store is None else StorageContext.from_defaults(vector_store=store)
    return VectorStoreIndex(nodes(), embed_model=EMBEDDING, storage_context=context)


def reranker(**options: Any) -> ColbertRerank:
    """Build a postprocessor that shares the embedded model."""
    return ColbertRerank(reranker=bundled_reranker(), **options)


def names(found: list[NodeWithScore]) -> list[str]:
    """Reduce nodes to the names in their metadata."""
    return [str(node.metadata["name"]) for node in found]


def assert_reranked(before: list[NodeWithScore], after: list[NodeWithScore], answer: str) -> None:
    """The answer was found but not first, and now it is; scores are floats and fall."""
    assert answer in names(before)[1:]
    assert names(after)[0] == answer
    scores = [node.get_score(raise_error=True) for node in after]
    assert scores == sorted(scores, reverse=True)
    assert {type(score) for score in scores} == {float}
    assert json.dumps([node.to_dict() for node in after])


def engine(retriever: BaseRetriever, **options: Any) -> RetrieverQueryEngine:
    """Put the postprocessor behind a retriever."""
    return RetrieverQueryEngine.from_args(retriever, llm=MockLLM(), node_postprocessors=[reranker(**options)])


@pytest.mark.parametrize("question", ANSWERS)
async def test_a_query_engine_answers_from_the_best_nodes(question: str) -> None:
    """Behind a vector index that knows nothing, the answer comes first, in both ways to call."""
    retriever = index().as_retriever(similarity_top_k=12)
    query_engine = engine(retriever)
    response = query_engine.query(question)
    assert_reranked(retriever.retrieve(question), response.source_nodes, ANSWERS[question])
    assert len(response.source_nodes) == 2
    assert PASSAGES[ANSWERS[question]] in str(response)  # the mock model repeats its prompt
    again = await query_engine.aquery(question)
    assert names(again.source_nodes) == names(response.source_nodes)


def test_an_index_takes_the_postprocessor_by_name() -> None:
    """as_query_engine passes it on, next to others, in their order."""
    query_engine = index().as_query_engine(
        llm=MockLLM(),
        similarity_top_k=12,
        node_postprocessors=[reranker(top_n=5), SimilarityPostprocessor(similarity_cutoff=-1.0)],
    )
    response = query_engine.query(QUESTION)
    assert names(response.source_nodes)[0] == ANSWER
    assert len(response.source_nodes) == 5


def test_the_retrieval_score_stands_beside_the_new_one() -> None:
    """keep_retrieval_score keeps the index's score, and the stored nodes get none."""
    vectors = index()
    retriever = vectors.as_retriever(similarity_top_k=12)
    before = {node.node_id: node.score for node in retriever.retrieve(QUESTION)}
    response = engine(retriever, keep_retrieval_score=True, top_n=None).query(QUESTION)
    assert {n.node_id: n.metadata["retrieval_score"] for n in response.source_nodes} == before
    assert "retrieval_score" not in str(response)
    assert not any("retrieval_score" in node.metadata for node in vectors.docstore.docs.values())


def test_bm25_follows_words_and_the_reranker_meaning() -> None:
    """BM25 prefers the passage that repeats the question's words; its stored nodes stay clean."""
    question = "What is the highest mountain in the world?"
    retriever = BM25Retriever.from_defaults(nodes=nodes(), similarity_top_k=12)
    before = retriever.retrieve(question)
    assert names(before)[0] == "wages"
    response = engine(retriever).query(question)
    assert_reranked(before, response.source_nodes, ANSWERS[question])
    assert [(n.node_id, n.score) for n in retriever.retrieve(question)] == [
        (n.node_id, n.score) for n in before
    ]


@pytest.mark.parametrize("store", [None, "qdrant"])
def test_what_a_pipeline_warmed_is_found_when_it_is_retrieved(store: str | None) -> None:
    """Through an index that writes nodes down and reads them back, the text that is ranked stays the one that was warmed."""
    shared = Reranker(bundled_reranker().encoder)
    rerank = ColbertRerank(reranker=shared, top_n=3)
    vectors = QdrantVectorStore("passages", client=QdrantClient(":memory:")) if store else None
    pipeline = IngestionPipeline(transformations=[EMBEDDING, CacheWarmer(reranker=rerank)])
    warmed = pipeline.run(nodes=nodes())
    context = StorageContext.from_defaults(vector_store=vectors) if vectors else None
    built = VectorStoreIndex(warmed, embed_model=EMBEDDING, storage_context=context)
    found = built.as_retriever(similarity_top_k=12).retrieve(QUESTION)
    rerank.postprocess_nodes(found, query_str=QUESTION)
    assert shared.cache is not None
    assert (shared.cache.stats().documents, shared.cache.stats().misses) == (len(warmed), 0)


def test_faiss_nodes_are_reranked() -> None:
    """Behind FAISS, whose scores are numpy's distances, the answer comes first."""
    retriever = index(FaissVectorStore(faiss_index=faiss.IndexFlatL2(DIM))).as_retriever(similarity_top_k=12)
    response = engine(retriever, keep_retrieval_score=True).query(QUESTION)
    assert_reranked(retriever.retrieve(QUESTION), response.source_nodes, ANSWER)


def test_qdrant_nodes_are_reranked() -> None:
    """Behind Qdrant in memory the answer comes first."""
    client = QdrantClient(":memory:")
    retriever = index(QdrantVectorStore("passages", client=client)).as_retriever(similarity_top_k=12)
    response = engine(retriever).query(QUESTION)
    assert_reranked(retriever.retrieve(QUESTION), response.source_nodes, ANSWER)
    client.close()


def test_fused_retrievers_are_reranked() -> None:
    """Two retrievers whose results were fused by rank are one list to the postprocessor."""
    fusion = QueryFusionRetriever(
        [
            index().as_retriever(similarity_top_k=12),
            BM25Retriever.from_defaults(nodes=nodes(), similarity_top_k=12),
        ],
        llm=MockLLM(),
        num_queries=1,
        similarity_top_k=12,
        mode="reciprocal_rerank",
        use_async=False,
    )
    question = "What is the highest mountain in the world?"
    response = engine(fusion).query(question)
    assert_reranked(fusion.retrieve(question), response.source_nodes, ANSWERS[question])


async def test_citations_count_from_the_best_node() -> None:
    """In a citation engine, source 1 is the answer's passage."""
    citations = CitationQueryEngine.from_args(
        index(), llm=MockLLM(), similarity_top_k=12, node_postprocessors=[reranker(top_n=3)]
    )
    for response in (citations.query(QUESTION), await citations.aquery(QUESTION)):
        assert len(response.source_nodes) == 3
        assert names(response.source_nodes)[0] == ANSWER
        assert response.source_nodes[0].text.startswith("Source 1:")


@pytest.mark.parametrize(
    ("chat_mode", "kind"),
    [("context", ContextChatEngine), ("condense_plus_context", CondensePlusContextChatEngine)],
)
async def test_a_chat_engine_reads_the_best_nodes(chat_mode: Any, kind: type) -> None:
    """A chat over the index has the answer's passage first, in both ways to call."""
    chat = index().as_chat_engine(
        chat_mode=chat_mode,
        llm=MockLLM(),
        memory=ChatMemoryBuffer.from_defaults(token_limit=3000),
        similarity_top_k=12,
        node_postprocessors=[reranker(top_n=2)],
    )
    assert isinstance(chat, kind)
    assert names(chat.chat(QUESTION).source_nodes)[0] == ANSWER
    chat.reset()
    assert names((await chat.achat(QUESTION)).source_nodes)[0] == ANSWER


def test_an_engine_hands_its_callbacks_to_the_postprocessor() -> None:
    """LlamaIndex's own debug handler sees the reranking inside the query."""
    handler = LlamaDebugHandler(print_trace_on_end=False)
    query_engine = RetrieverQueryEngine(
        index().as_retriever(similarity_top_k=12),
        response_synthesizer=get_response_synthesizer(llm=MockLLM()),
        node_postprocessors=[reranker()],
        callback_manager=CallbackManager([handler]),
    )
    query_engine.query(QUESTION)
    ((start, end),) = handler.get_event_pairs(CBEventType.RERANKING)
    assert (start.event_type, end.event_type) == (CBEventType.RERANKING, CBEventType.RERANKING)


def test_documents_that_an_index_split_are_reranked() -> None:
    """Chunks of longer documents keep their source through the reranking."""
    text = " ".join(PASSAGES.values())
    vectors = VectorStoreIndex.from_documents(
        [Document(text=text, id_="book", metadata={"name": "book"})], embed_model=EMBEDDING
    )
    response = engine(vectors.as_retriever(similarity_top_k=12)).query(QUESTION)
    assert isinstance(response, Response)
    assert {node.node.ref_doc_id for node in response.source_nodes} == {"book"}


def test_postprocessors_run_in_a_row() -> None:
    """Two rerankers, wide and narrow, give what the narrow one gives."""
    found = [NodeWithScore(node=node, score=0.0) for node in nodes()]
    wide = reranker(top_n=6, keep_retrieval_score=True).postprocess_nodes(found, QueryBundle(QUESTION))
    both = reranker(top_n=2).postprocess_nodes(wide, QueryBundle(QUESTION))
    alone = reranker(top_n=2).postprocess_nodes(found, QueryBundle(QUESTION))
    assert [(n.node_id, n.score) for n in both] == [
        (n.node_id, pytest.approx(n.score, abs=1e-5)) for n in alone
    ]
