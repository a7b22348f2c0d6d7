"""laterank as a reranker of LanceDB: vector, full-text and hybrid searches in a table on disk."""

from tempfile import TemporaryDirectory

import lancedb
import pyarrow as pa
from lancedb.index import FTS
from lancedb.rerankers import Reranker as LanceReranker
from lsa import LatentSemanticAnalysis
from papers import abstracts, places, question

from laterank import Reranker


class ColbertReranker(LanceReranker):
    """Sort a search's rows by the text in one column; the score stands in ``_relevance_score``."""

    def __init__(self, reranker: Reranker, *, column: str = "text") -> None:
        """Take a loaded reranker, which other tables and threads may share."""
        super().__init__()
        self.reranker = reranker
        self.column = column

    def rerank_hybrid(self, query: str, vector_results: pa.Table, fts_results: pa.Table) -> pa.Table:
        """Sort the rows that either search found."""
        return self._rerank(query, self.merge_results(vector_results, fts_results))

    def rerank_vector(self, query: str, vector_results: pa.Table) -> pa.Table:
        """Sort what the vectors found."""
        return self._rerank(query, vector_results)

    def rerank_fts(self, query: str, fts_results: pa.Table) -> pa.Table:
        """Sort what the words found."""
        return self._rerank(query, fts_results)

    def _rerank(self, query: str, rows: pa.Table) -> pa.Table:
        ranking = self.reranker.rank(query, rows[self.column].to_pylist())
        scores = pa.array([place.score for place in ranking], type=pa.float32())
        best_first = rows.take([place.index for place in ranking])
        return self._keep_relevance_score(best_first).append_column("_relevance_score", scores)


papers = abstracts()
lsa = LatentSemanticAnalysis([paper["text"] for paper in papers])
vectors = lsa.embed_documents([paper["text"] for paper in papers])
reranker = ColbertReranker(Reranker.from_pretrained(long_documents="windows"))

with TemporaryDirectory() as folder:
    rows = [{**paper, "vector": vector} for paper, vector in zip(papers, vectors, strict=True)]
    table = lancedb.connect(folder).create_table("papers", rows)
    table.create_index("text", config=FTS())

    asked = question("15466981")
    text, vector = asked["text"], lsa.embed_query(asked["text"])
    searches = {
        "vector": (lambda: table.search(vector), {"query_string": text}),  # it knows no text of its own
        "full text": (lambda: table.search(text, query_type="fts"), {}),
        "hybrid": (lambda: table.search(query_type="hybrid").vector(vector).text(text), {}),
    }
    print(text)
    for name, (search, options) in searches.items():
        before = search().limit(20).to_list()
        after = search().limit(20).rerank(reranker, **options).to_list()
        told = places(asked, [row["id"] for row in before], [row["id"] for row in after])
        print(f"  {name:9}  {told}")
