"""Rerank in LlamaIndex's query engine and chat engine."""

from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.schema import NodeWithScore, TextNode
from lsa import LatentSemanticAnalysis
from papers import abstracts, print_places, question

from laterank.llama_index import ColbertRerank


class Vectors(BaseEmbedding):
    """The examples' vectors, as LlamaIndex takes them; your embedding model stands here."""

    lsa: LatentSemanticAnalysis

    def _get_text_embedding(self, text: str) -> list[float]:
        return self.lsa.embed_query(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self.lsa.embed_query(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self.lsa.embed_query(query)


def ids(sources: list[NodeWithScore]) -> list[str]:
    """Reduce sources to the ids of their abstracts."""
    return [source.node_id for source in sources]


nodes = [TextNode(id_=paper["id"], text=paper["text"]) for paper in abstracts()]
vectors = Vectors(lsa=LatentSemanticAnalysis([node.text for node in nodes]))
index = VectorStoreIndex(nodes, embed_model=vectors)
retriever = index.as_retriever(similarity_top_k=20)
reranker = ColbertRerank(top_n=3, keep_retrieval_score=True, long_documents="windows")
llm = MockLLM()  # your language model

print("Query engine")
engine = index.as_query_engine(llm=llm, similarity_top_k=20, node_postprocessors=[reranker])
asked = question("15466981")
response = engine.query(asked["text"])
print_places(asked, ids(retriever.retrieve(asked["text"])), ids(response.source_nodes))
best = response.source_nodes[0]
print(f"  score {best.score:.2f}, the vectors' own was {best.node.metadata['retrieval_score']:.2f}")

print("\nChat engine")
chat = index.as_chat_engine(
    chat_mode="context",
    llm=llm,
    memory=ChatMemoryBuffer.from_defaults(token_limit=8000, llm=llm),
    similarity_top_k=20,
    node_postprocessors=[reranker],
)
for asked in (question("15095519"), question("25043083")):
    reply = chat.chat(asked["text"])
    print_places(asked, ids(retriever.retrieve(asked["text"])), ids(reply.source_nodes))
print(f"{len(chat.chat_history)} messages remembered")
