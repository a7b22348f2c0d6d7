"""Answer from documents with LangChain: retrieve 20, rerank them, and give the language model the best 3."""

from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import FakeListLLM
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnableParallel, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from lsa import LatentSemanticAnalysis
from papers import abstracts, print_places, question

from laterank.langchain import ColbertRerank


class Vectors(LatentSemanticAnalysis, Embeddings):
    """The examples' vectors, as LangChain takes them; your embedding model stands here."""


documents = [Document(id=paper["id"], page_content=paper["text"]) for paper in abstracts()]
store = InMemoryVectorStore(Vectors([document.page_content for document in documents]))
store.add_documents(documents)
reranker = ColbertRerank(top_n=3, long_documents="windows")


def rerank(found: dict[str, Any]) -> list[Document]:
    """Keep the best of what the store found."""
    return reranker.compress_documents(found["retrieved"], found["question"])


def context(found: dict[str, Any]) -> str:
    """Join what goes into the prompt."""
    return "\n\n".join(f"[{source.id}] {source.page_content}" for source in found["sources"])


prompt = PromptTemplate.from_template("Answer from these abstracts.\n\n{context}\n\nQuestion: {question}")
llm = FakeListLLM(responses=["(Your language model answers here; it reads the abstracts in this order.)"])
chain = (
    RunnableParallel(question=RunnablePassthrough(), retrieved=store.as_retriever(search_kwargs={"k": 20}))
    | RunnablePassthrough.assign(sources=rerank)
    | RunnablePassthrough.assign(prompt=RunnablePassthrough.assign(context=context) | prompt)
    | RunnablePassthrough.assign(answer=lambda found: llm.invoke(found["prompt"]))
)

asked = question("15466981")
result = chain.invoke(asked["text"])
print_places(asked, [d.id for d in result["retrieved"]], [d.id for d in result["sources"]])
print(f"  the prompt's first abstract: {result['sources'][0].page_content[:70]}...")
print(f"  {result['answer']}")
