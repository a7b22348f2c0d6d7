"""The compressor in LangChain's own pipelines, end to end and offline, with the embedded model."""

import json
from typing import Any, TypedDict

import pytest
from langchain_classic.chains import RetrievalQA, create_retrieval_chain
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_classic.retrievers import (
    ContextualCompressionRetriever,
    EnsembleRetriever,
    ParentDocumentRetriever,
)
from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline
from langchain_community.document_transformers import EmbeddingsRedundantFilter
from langchain_community.retrievers import BM25Retriever
from langchain_community.vectorstores import FAISS
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListLLM
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough
from langchain_core.stores import InMemoryStore
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_qdrant import QdrantVectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests
from langchain_text_splitters import CharacterTextSplitter
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from support_frameworks import ANSWER, ANSWERS, PASSAGES, QUESTION, bundled_reranker

from laterank.langchain import ColbertRerank

# Vectors from a hash of the text: a retriever that knows nothing, and is the same on every machine.
EMBEDDING = DeterministicFakeEmbedding(size=32)


def documents() -> list[Document]:
    """Make the passages anew, each with its name as id and in the metadata."""
    return [Document(id=name, page_content=text, metadata={"name": name}) for name, text in PASSAGES.items()]


def compressor(**options: Any) -> ColbertRerank:
    """Build a compressor that shares the embedded model."""
    return ColbertRerank(reranker=bundled_reranker(), **options)


def vector_store() -> InMemoryVectorStore:
    """Index the passages in memory."""
    return InMemoryVectorStore.from_documents(documents(), EMBEDDING)


def reranking(base: Any, **options: Any) -> ContextualCompressionRetriever:
    """Put the compressor behind a retriever."""
    return ContextualCompressionRetriever(base_compressor=compressor(**options), base_retriever=base)


def names(found: list[Document]) -> list[str]:
    """Reduce documents to the names in their metadata."""
    return [document.metadata["name"] for document in found]


def assert_reranked(before: list[Document], after: list[Document], answer: str) -> None:
    """The answer was found but not first, and now it is; scores stand beside the metadata and fall."""
    assert answer in names(before)[1:]
    assert names(after)[0] == answer
    scores = [document.metadata["relevance_score"] for document in after]
    assert scores == sorted(scores, reverse=True)
    assert {type(score) for score in scores} == {float}
    assert not any("relevance_score" in document.metadata for document in before)


# Retrievers


@pytest.mark.parametrize("question", ANSWERS)
async def test_a_compression_retriever_puts_the_answer_first(question: str) -> None:
    """Behind a vector store that knows nothing, the answer comes first, in both ways to call."""
    base = vector_store().as_retriever(search_kwargs={"k": 12})
    retriever = reranking(base)
    found = retriever.invoke(question)
    assert_reranked(base.invoke(question), found, ANSWERS[question])
    assert await retriever.ainvoke(question) == found
    assert retriever.batch([question] * 3) == [found] * 3


def test_bm25_follows_words_and_the_reranker_meaning() -> None:
    """BM25 prefers the passage that repeats the question's words; its stored documents stay clean."""
    base = BM25Retriever.from_documents(documents(), k=12)
    before = base.invoke(QUESTION)
    assert names(before)[0] == "museum"
    assert_reranked(before, reranking(base).invoke(QUESTION), ANSWER)
    assert base.docs == documents()


@pytest.mark.parametrize("store", [FAISS, QdrantVectorStore])
def test_vector_stores_keep_their_documents_clean(store: type[VectorStore]) -> None:
    """Behind FAISS and Qdrant the answer comes first, and the next search finds no score."""
    options = {"location": ":memory:", "collection_name": "passages"} if store is QdrantVectorStore else {}
    texts, metadatas = list(PASSAGES.values()), [{"name": name} for name in PASSAGES]
    index = store.from_texts(texts, EMBEDDING, metadatas=metadatas, **options)
    base = index.as_retriever(search_kwargs={"k": 12})
    before = base.invoke(QUESTION)
    assert_reranked(before, reranking(base).invoke(QUESTION), ANSWER)
    assert base.invoke(QUESTION) == before


def test_an_ensemble_of_retrievers_is_reranked() -> None:
    """Two retrievers whose results were fused by rank are one list to the compressor."""
    ensemble = EnsembleRetriever(
        retrievers=[
            BM25Retriever.from_documents(documents(), k=6),
            vector_store().as_retriever(search_kwargs={"k": 6}),
        ],
        weights=[0.5, 0.5],
    )
    assert_reranked(ensemble.invoke(QUESTION), reranking(ensemble).invoke(QUESTION), ANSWER)


def test_a_reranked_retriever_is_part_of_an_ensemble() -> None:
    """The compression retriever stands behind an ensemble as well."""
    base = vector_store().as_retriever(search_kwargs={"k": 12})
    ensemble = EnsembleRetriever(retrievers=[base, reranking(base, top_n=1)], weights=[0.01, 0.99])
    assert names(ensemble.invoke(QUESTION))[0] == ANSWER


def test_parent_documents_are_reranked() -> None:
    """Small parts are searched, their parents are reranked."""
    base = ParentDocumentRetriever(
        vectorstore=InMemoryVectorStore(EMBEDDING),
        docstore=InMemoryStore(),
        child_splitter=CharacterTextSplitter(separator=" ", chunk_size=40, chunk_overlap=0),
        search_kwargs={"k": 60},
    )
    base.add_documents(documents(), ids=None)
    before = base.invoke(QUESTION)
    assert len(before) == 12
    assert_reranked(before, reranking(base).invoke(QUESTION), ANSWER)


def test_a_pipeline_of_compressors_holds_the_reranker() -> None:
    """A splitter, a filter of doubles and the reranker make one compressor."""
    pipeline = DocumentCompressorPipeline(
        transformers=[
            CharacterTextSplitter(separator=". ", chunk_size=400, chunk_overlap=0),
            EmbeddingsRedundantFilter(embeddings=EMBEDDING),
            compressor(top_n=2),
        ]
    )
    twice = [*documents(), *documents()]
    found = list(pipeline.compress_documents(twice, QUESTION))
    assert names(found)[0] == ANSWER
    assert names(found).count(ANSWER) == 1


async def test_a_pipeline_of_compressors_runs_in_the_event_loop() -> None:
    """The asynchronous way through a pipeline gives the same."""
    pipeline = DocumentCompressorPipeline(transformers=[compressor(top_n=6), compressor(top_n=2)])
    found = await pipeline.acompress_documents(documents(), QUESTION)
    assert list(found) == list(pipeline.compress_documents(documents(), QUESTION))
    assert names(list(found))[0] == ANSWER


# Chains


def test_a_retrieval_chain_reads_the_answer_first() -> None:
    """create_retrieval_chain hands the reranked documents to the model in their order."""
    prompt = ChatPromptTemplate.from_template("{context}\n\n{input}")
    llm = FakeListLLM(responses=["Alexander Fleming."])
    chain = create_retrieval_chain(
        reranking(vector_store().as_retriever(search_kwargs={"k": 12})),
        create_stuff_documents_chain(llm, prompt),
    )
    result = chain.invoke({"input": QUESTION})
    assert result["answer"] == "Alexander Fleming."
    assert names(result["context"])[0] == ANSWER


def test_retrieval_qa_returns_its_reranked_sources() -> None:
    """The older chain does the same."""
    chain = RetrievalQA.from_chain_type(
        llm=FakeListLLM(responses=["Alexander Fleming."]),
        retriever=reranking(vector_store().as_retriever(search_kwargs={"k": 12})),
        return_source_documents=True,
    )
    result = chain.invoke({"query": QUESTION})
    assert result["result"] == "Alexander Fleming."
    assert names(result["source_documents"])[0] == ANSWER


async def test_an_expression_chain_reads_the_answer_first() -> None:
    """In an LCEL chain the prompt begins with the answer's passage."""
    retriever = reranking(vector_store().as_retriever(search_kwargs={"k": 12}))
    join = RunnableLambda(lambda found: "\n".join(document.page_content for document in found))
    prompt = PromptTemplate.from_template("{context}\nQuestion: {question}")
    chain = {"context": retriever | join, "question": RunnablePassthrough()} | prompt
    text = chain.invoke(QUESTION).to_string()
    assert text.startswith(PASSAGES[ANSWER])
    assert (await chain.ainvoke(QUESTION)).to_string() == text
    answer = chain | FakeListLLM(responses=["Alexander Fleming."])
    assert answer.invoke(QUESTION) == "Alexander Fleming."


def test_the_number_of_documents_changes_with_a_configuration() -> None:
    """configurable_fields swaps the compressor for one call, for a copy that shares the model."""
    base = compressor(top_n=3)
    retriever = ContextualCompressionRetriever(
        base_compressor=base, base_retriever=vector_store().as_retriever(search_kwargs={"k": 12})
    ).configurable_fields(base_compressor=ConfigurableField(id="compressor"))
    wide = base.model_copy(update={"top_n": 7})
    found = retriever.invoke(QUESTION, config={"configurable": {"compressor": wide}})
    assert len(found) == 7
    assert names(found)[0] == ANSWER
    assert len(retriever.invoke(QUESTION)) == 3


# LangGraph


class State(TypedDict):
    """What the graph hands on."""

    question: str
    found: list[Document]


async def test_scores_survive_a_langgraph_checkpoint() -> None:
    """Documents with scores are written by the checkpointer and come back equal."""
    base = vector_store().as_retriever(search_kwargs={"k": 12})
    reranker = compressor()

    def retrieve(state: State) -> dict[str, Any]:
        return {"found": base.invoke(state["question"])}

    async def rerank(state: State) -> dict[str, Any]:
        return {"found": list(await reranker.acompress_documents(state["found"], state["question"]))}

    graph = StateGraph(State)
    graph.add_node("retrieve", retrieve)
    graph.add_node("rerank", rerank)
    graph.add_edge(START, "retrieve")
    graph.add_edge("retrieve", "rerank")
    graph.add_edge("rerank", END)
    app = graph.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}
    result = await app.ainvoke({"question": QUESTION, "found": []}, config)
    kept = (await app.aget_state(config)).values["found"]
    assert_reranked(base.invoke(QUESTION), kept, ANSWER)
    assert kept == result["found"]
    history = [
        [document.metadata.get("relevance_score") for document in state.values.get("found", [])]
        async for state in app.aget_state_history(config)
    ]
    assert [document.metadata["relevance_score"] for document in kept] in history
    assert json.dumps([document.metadata for document in kept])


# LangChain's own tests for retrievers


class RerankingRetriever(ContextualCompressionRetriever):
    """A compression retriever with a number of documents for each call, as LangChain's tests ask for."""

    k: int = 3

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, **kwargs: Any
    ) -> list[Document]:
        found = self.base_retriever.invoke(query, config={"callbacks": run_manager.get_child()}, **kwargs)
        assert isinstance(self.base_compressor, ColbertRerank)
        narrowed = self.base_compressor.model_copy(update={"top_n": k or self.k})
        return list(narrowed.compress_documents(found, query, callbacks=run_manager.get_child()))


class TestRerankingRetriever(RetrieversIntegrationTests):
    """LangChain's standard tests over a retriever that reranks."""

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        """Name the class under test."""
        return RerankingRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        """Give what it is built with."""
        return {
            "base_compressor": compressor(),
            "base_retriever": vector_store().as_retriever(search_kwargs={"k": 12}),
        }

    @property
    def retriever_query_example(self) -> str:
        """Give a query."""
        return QUESTION
