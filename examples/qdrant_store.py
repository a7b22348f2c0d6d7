"""Rerank what Qdrant finds, through LangChain: the store lies in a folder and needs no server."""

from pathlib import Path
from tempfile import TemporaryDirectory

from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore
from lsa import LatentSemanticAnalysis
from papers import abstracts, print_places, question
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, VectorParams

from laterank.langchain import ColbertRerank


class Vectors(LatentSemanticAnalysis, Embeddings):
    """The examples' vectors, as LangChain takes them; your embedding model stands here."""


papers = abstracts()
vectors = Vectors([paper["text"] for paper in papers])


def ingest(folder: Path) -> None:
    """Write the abstracts into a new store."""
    client = QdrantClient(path=str(folder))
    client.create_collection("papers", vectors_config=VectorParams(size=64, distance=Distance.COSINE))
    store = QdrantVectorStore(client, "papers", vectors)
    documents = [Document(paper["text"], metadata={"pubmed": paper["id"]}) for paper in papers]
    store.add_documents(documents, ids=[int(paper["id"]) for paper in papers])
    client.close()


def ask(folder: Path, asked: dict[str, str]) -> None:
    """Open the store, retrieve 20 and keep the best 3."""
    client = QdrantClient(path=str(folder))
    store = QdrantVectorStore(client, "papers", vectors)
    found = store.as_retriever(search_kwargs={"k": 20})
    best = ContextualCompressionRetriever(
        base_compressor=ColbertRerank(top_n=3, long_documents="windows"), base_retriever=found
    )
    before, after = found.invoke(asked["text"]), best.invoke(asked["text"])
    print_places(asked, [d.metadata["pubmed"] for d in before], [d.metadata["pubmed"] for d in after])
    client.close()


with TemporaryDirectory() as folder:
    ingest(Path(folder))
    ask(Path(folder), question("15095519"))
