"""Rerank nodes with LlamaIndex."""

from llama_index.core.schema import NodeWithScore, TextNode

from laterank.llama_index import ColbertRerank

texts = [
    "The refund of the deposit was discussed at the meeting.",
    "Our warehouse sends back parcels that nobody picks up.",
    "You can return any item within 30 days for a full refund.",
    "Opening hours are 9 to 17 on weekdays.",
]
nodes = [NodeWithScore(node=TextNode(text=text)) for text in texts]
reranker = ColbertRerank(top_n=2)
for node in reranker.postprocess_nodes(nodes, query_str="How do I get my money back?"):
    print(f"{node.score:.2f}  {node.text}")
