"""Late interaction inside the store: Qdrant and LanceDB keep every token embedding and score by MaxSim themselves.

A reranker encodes candidates, or remembers them; here the store holds the rows of all documents, so that late
interaction can be the first stage. Its price is the room: a vector for each token in place of one for each document.
"""

from tempfile import TemporaryDirectory

import lancedb
import pyarrow as pa
from papers import abstracts, question
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, MultiVectorComparator, MultiVectorConfig, PointStruct, VectorParams

from laterank import Reranker

longest = 512  # all that the model can read; a store that holds one matrix a document takes no windows
reranker = Reranker.from_pretrained(  # the stores add up, too
    cache=False, score="sum", config={"document_length": longest}
)
lengths = reranker.encoder.count_tokens([paper["text"] for paper in abstracts()])
papers = [paper for paper, length in zip(abstracts(), lengths, strict=True) if length < longest][:40]
rows_of = reranker.encoder.encode_documents([paper["text"] for paper in papers])  # (tokens, dim) each
asked = question("12805495")
[query] = reranker.encoder.encode_queries([asked["text"]])


def ask_qdrant(folder: str) -> dict[str, float]:
    """Return the ids and scores of the best 5, by Qdrant."""
    client = QdrantClient(path=folder)
    maxsim = MultiVectorConfig(comparator=MultiVectorComparator.MAX_SIM)
    params = VectorParams(size=reranker.encoder.dim, distance=Distance.DOT, multivector_config=maxsim)
    client.create_collection("papers", vectors_config=params)
    points = [
        PointStruct(id=int(paper["id"]), vector=rows.tolist())
        for paper, rows in zip(papers, rows_of, strict=True)
    ]
    client.upsert("papers", points)
    found = client.query_points("papers", query=query.tolist(), limit=5).points
    client.close()
    return {str(point.id): point.score for point in found}


def ask_lancedb(folder: str) -> dict[str, float]:
    """Return the ids and scores of the best 5, by LanceDB, whose distance is the sum of 1 - cosine."""
    rows = pa.list_(pa.list_(pa.float32(), reranker.encoder.dim))
    schema = pa.schema([pa.field("id", pa.string()), pa.field("rows", rows)])
    table = lancedb.connect(folder).create_table("papers", schema=schema)
    table.add([{"id": paper["id"], "rows": list(rows)} for paper, rows in zip(papers, rows_of, strict=True)])
    found = table.search(query, vector_column_name="rows").distance_type("cosine").limit(5).to_list()
    return {row["id"]: len(query) - row["_distance"] for row in found}


with TemporaryDirectory() as one, TemporaryDirectory() as other:
    by_qdrant, by_lancedb = ask_qdrant(one), ask_lancedb(other)
ranking = reranker.rank(asked["text"], [paper["text"] for paper in papers], top_n=5)
print(asked["text"])
print("  abstract  laterank   Qdrant  LanceDB")
for place in ranking:
    name = papers[place.index]["id"]
    print(f"  {name:8}  {place.score:8.4f} {by_qdrant[name]:8.4f} {by_lancedb[name]:8.4f}")
