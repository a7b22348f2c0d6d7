"""Rerank what BM25 finds among real abstracts, through LangChain and LlamaIndex, and measure what it changes.

Run it with ``make demo``; it needs no network.
"""

import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, median

import bm25s
import papers
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever as LangChainRetriever
from llama_index.core.base.base_retriever import BaseRetriever as LlamaIndexRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers.no_text import NoText
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from laterank import langchain, llama_index

CANDIDATES = 10
WIDTH = 100

# --- a first stage, and its face for each framework -----------------------------------------------------------------


class Bm25:
    """Finds abstracts by the words that they share with a question."""

    def __init__(self, abstracts: list[dict[str, str]]) -> None:
        """Index the abstracts."""
        self.abstracts = abstracts
        self.index = bm25s.BM25()
        self.index.index(_words([abstract["text"] for abstract in abstracts]), show_progress=False)

    def search(self, question: str) -> list[tuple[dict[str, str], float]]:
        """Return the best abstracts with their scores, best first."""
        found, scores = self.index.retrieve(_words([question]), k=CANDIDATES, show_progress=False)
        return [(self.abstracts[i], float(score)) for i, score in zip(found[0], scores[0], strict=True)]


class Bm25ForLangChain(LangChainRetriever):
    """The first stage as LangChain wants it."""

    search: Callable[[str], list[tuple[dict[str, str], float]]]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [
            Document(id=found["id"], page_content=found["text"], metadata={"bm25": score})
            for found, score in self.search(query)
        ]


class Bm25ForLlamaIndex(LlamaIndexRetriever):
    """The first stage as LlamaIndex wants it."""

    def __init__(self, search: Callable[[str], list[tuple[dict[str, str], float]]]) -> None:
        """Take the search."""
        self.search = search
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [
            NodeWithScore(node=TextNode(id_=found["id"], text=found["text"]), score=score)
            for found, score in self.search(query_bundle.query_str)
        ]


# --- the demo -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its candidates, before and after reranking."""

    question: str
    right_id: str
    before: list[Document]
    after: list[Document]
    seconds: float


def main() -> None:
    """Run both frameworks over every question and print what happened."""
    sys.stdout.reconfigure(errors="replace")  # an abstract may hold letters that this terminal has not
    abstracts, questions = papers.abstracts(), papers.questions()
    bm25 = Bm25(abstracts)

    start = time.perf_counter()
    reranker = langchain.ColbertRerank(top_n=None, long_documents="windows")
    reranker.compress_documents([Document("A first text, so that the model is loaded.")], "A first question?")
    loaded_seconds = time.perf_counter() - start

    first = ask_langchain(bm25, reranker, questions)
    again = ask_langchain(bm25, reranker, questions)
    by_llama_index = ask_llama_index(bm25, reranker, questions)

    _print_paragraph(
        f"{len(abstracts)} abstracts of papers from PubMed and {len(questions)} of the papers' titles as questions: "
        f"a title's own abstract is the right answer. BM25 finds {CANDIDATES} abstracts for each question, ColbertRerank "
        f'with the model "{reranker.model}" sorts them. Nothing leaves this machine; loading the model took '
        f"{loaded_seconds:.1f} s."
    )
    shown = next(i for i, answered in enumerate(first) if answered.after[0].id != answered.before[0].id)
    print_question(first[shown], again[shown].seconds)
    print_all(first, again)
    same = sum([d.id for d in a.after] == ids for a, ids in zip(first, by_llama_index, strict=True))
    _print_paragraph(
        f"All of this went through LangChain. A LlamaIndex query engine, sharing the model and its cache, put the "
        f"abstracts in the same order for {same} of the {len(questions)} questions."
    )


def ask_langchain(
    bm25: Bm25, reranker: langchain.ColbertRerank, questions: list[dict[str, str]]
) -> list[Answered]:
    """Retrieve and rerank every question through LangChain, and time the reranking."""
    retriever = Bm25ForLangChain(search=bm25.search)
    answers = []
    for question in questions:
        before = retriever.invoke(question["text"])
        start = time.perf_counter()
        after = reranker.compress_documents(before, question["text"])
        seconds = time.perf_counter() - start
        answers.append(Answered(question["text"], question["id"], before, list(after), seconds))
    return answers


def ask_llama_index(
    bm25: Bm25, reranker: langchain.ColbertRerank, questions: list[dict[str, str]]
) -> list[list[str]]:
    """Ask a LlamaIndex query engine every question and return the order of its sources."""
    engine = RetrieverQueryEngine(
        Bm25ForLlamaIndex(bm25.search),
        response_synthesizer=NoText(llm=MockLLM()),
        node_postprocessors=[llama_index.ColbertRerank(reranker=reranker.reranker, top_n=None)],
    )
    responses = [engine.query(question["text"]) for question in questions]
    return [[source.node_id for source in response.source_nodes] for response in responses]


# --- what it prints -------------------------------------------------------------------------------------------------


def print_question(answered: Answered, warm_seconds: float) -> None:
    """Print one question's candidates in their new order, with the old."""
    _print_title("One question: the first for which reranking puts another abstract on top")
    print(f"{answered.question}\n")
    print("  now  was  score   BM25  abstract (> is the right one)")
    old_place = {document.id: place for place, document in enumerate(answered.before, start=1)}
    for place, document in enumerate(answered.after, start=1):
        mark = ">" if document.id == answered.right_id else " "
        score, bm25 = document.metadata["relevance_score"], document.metadata["bm25"]
        text = textwrap.shorten(document.page_content, WIDTH - 26, placeholder=" ...")
        print(f"{mark} {place:3}  {old_place[document.id]:3}  {score:5.3f}  {bm25:5.1f}  {text}")
    _print_paragraph(
        f"Reranking took {answered.seconds * 1000:.0f} ms the first time, when abstracts were encoded, "
        f"and {warm_seconds * 1000:.0f} ms when they came from the cache."
    )


def print_all(first: list[Answered], again: list[Answered]) -> None:
    """Print the quality and the time over all questions."""
    before = [_reciprocal_rank(answered.before, answered.right_id) for answered in first]
    after = [_reciprocal_rank(answered.after, answered.right_id) for answered in first]
    up, down = sum(map(float.__gt__, after, before)), sum(map(float.__lt__, after, before))
    _print_title(f"All {len(first)} questions")
    print(f"          MRR@{CANDIDATES}  hit@1  right abstract on top")
    for name, ranks in (("BM25", before), ("reranked", after)):
        hits = ranks.count(1.0)
        print(f"{name:9}  {mean(ranks):.3f}  {hits / len(ranks):.3f}  {hits} of {len(ranks)}")
    _print_paragraph(
        f"The right abstract moved up for {up} questions, down for {down}, and stayed for {len(first) - up - down}. "
        f"Reranking took a median of {_median_ms(first)} the first time and {_median_ms(again)} from the cache."
    )
    _print_paragraph(
        "These questions are hard for BM25: of PubMedQA's 1000, the ones whose first two abstracts it scores closest "
        "(whichever is right). Over all 1000 it is right 95 times of 100; examples/data/README.md says more."
    )


def _print_title(title: str) -> None:
    print(f"\n{title}\n{'-' * len(title)}")


def _print_paragraph(text: str) -> None:
    print("\n" + textwrap.fill(text, WIDTH))


def _reciprocal_rank(documents: list[Document], right_id: str) -> float:
    """Return 1 / the place of the right document; 0 if it is not there."""
    return next((1 / place for place, d in enumerate(documents, start=1) if d.id == right_id), 0.0)


def _median_ms(answers: list[Answered]) -> str:
    return f"{median(answered.seconds for answered in answers) * 1000:.0f} ms"


def _words(texts: list[str]) -> list[list[str]]:
    return bm25s.tokenize(texts, stopwords="en", show_progress=False)


if __name__ == "__main__":
    main()
