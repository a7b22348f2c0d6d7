"""Every example runs as its reader would run it, offline, and shows what it says it shows."""

import json
import re
from pathlib import Path

import pytest
from support_examples import EXAMPLES, NO_TELEMETRY, run_example

from laterank.evaluation import read_judgements

QUICKSTARTS = ("quickstart_langchain.py", "quickstart_llama_index.py")
PLACES = re.compile(r"right abstract: place (\d+|not among \d+) before reranking, (\d+|not among \d+) after")


@pytest.fixture(scope="module")
def demo_output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run the demo once for all tests."""
    return run_example("demo.py", tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def quickstart_outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run each quickstart once for all tests."""
    return {name: run_example(name, tmp_path_factory.mktemp("elsewhere")) for name in QUICKSTARTS}


@pytest.mark.parametrize("name", QUICKSTARTS)
def test_a_quickstart_puts_the_answer_first(name: str, quickstart_outputs: dict[str, str]) -> None:
    """The sentence that answers comes first of two, with the higher score."""
    scored = [line.split("  ", 1) for line in quickstart_outputs[name].splitlines()]
    assert len(scored) == 2
    assert scored[0][1] == "You can return any item within 30 days for a full refund."
    assert -1 <= float(scored[1][0]) < float(scored[0][0]) <= 1


def test_both_quickstarts_print_the_same(quickstart_outputs: dict[str, str]) -> None:
    """One model gives one ranking, whichever framework asks."""
    first, second = quickstart_outputs.values()
    assert first == second


def test_the_demo_measures_that_reranking_helps(demo_output: str) -> None:
    """Over all questions, MRR and hit@1 are higher after reranking than before."""
    [before] = re.findall(r"^BM25 +([\d.]+) +([\d.]+) ", demo_output, re.MULTILINE)
    [after] = re.findall(r"^reranked +([\d.]+) +([\d.]+) ", demo_output, re.MULTILINE)
    assert float(after[0]) > float(before[0])
    assert float(after[1]) > float(before[1])


def test_the_demo_shows_a_question_whose_first_abstract_changed(demo_output: str) -> None:
    """Its table is sorted by the new score, holds each old place once and puts a new abstract first."""
    rows = re.findall(r"^[> ] +(\d+) +(\d+) +(-?[\d.]+) +([\d.]+)  \S", demo_output, re.MULTILINE)
    now, was = [int(row[0]) for row in rows], [int(row[1]) for row in rows]
    scores = [float(row[2]) for row in rows]
    assert now == list(range(1, 11))
    assert sorted(was) == now
    assert was[0] != 1
    assert scores == sorted(scores, reverse=True)


def test_the_demo_is_faster_from_the_cache(demo_output: str) -> None:
    """The median time over all questions is lower once their abstracts are cached."""
    [(cold, warm)] = re.findall(
        r"median\sof\s(\d+)\sms\sthe\sfirst\stime\sand\s(\d+)\sms\sfrom\sthe\scache", demo_output
    )
    assert int(warm) < int(cold)


def test_both_frameworks_rank_the_same_in_the_demo(demo_output: str) -> None:
    """LlamaIndex puts every question's abstracts in LangChain's order."""
    assert re.search(r"same\sorder\sfor\s50\sof\sthe\s50\squestions", demo_output)


def test_the_demo_fits_a_terminal(demo_output: str) -> None:
    """No line is wider than a hundred columns."""
    assert max(map(len, demo_output.splitlines())) <= 100


def test_every_question_of_the_demo_has_its_abstract() -> None:
    """The data are whole: distinct abstracts, at most the 200 that may be copied, the right one for each question."""
    abstracts, questions = (
        [json.loads(line) for line in (EXAMPLES / "data" / name).read_bytes().splitlines()]
        for name in ("abstracts.jsonl", "questions.jsonl")
    )
    ids = {abstract["id"] for abstract in abstracts}
    assert len(ids) == len(abstracts) <= 200
    assert {question["id"] for question in questions} <= ids
    assert all(entry["text"].strip() for entry in [*abstracts, *questions])
    judged = read_judgements(EXAMPLES / "data" / "judgements.tsv")
    assert judged == {question["id"]: {question["id"]: 1} for question in questions}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.[pi]*")), ids=lambda path: path.name)
def test_every_example_is_in_the_table(path: Path) -> None:
    """An example that nobody finds is none."""
    assert f"({path.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "places_before"),
    [
        ("langchain_rag.py", ["5"]),
        ("llama_index_engines.py", ["5", "4", "2"]),
        ("qdrant_store.py", ["4"]),
        ("lancedb_store.py", ["5", "1", "3"]),
    ],
)
def test_an_example_puts_the_right_abstract_first(
    name: str, places_before: list[str], tmp_path: Path
) -> None:
    """Where vectors and words put it lower, whatever the framework or the store."""
    printed = run_example(name, tmp_path, **(NO_TELEMETRY if name == "qdrant_store.py" else {}))
    assert PLACES.findall(printed) == [(before, "1") for before in places_before]


def test_the_agent_keeps_its_conversation_and_its_sources(tmp_path: Path) -> None:
    """What the checkpointer gives back has all messages, and documents with scores, the right one first."""
    printed = run_example("langgraph_agent.py", tmp_path)
    assert PLACES.findall(printed) == [("5", "1"), ("4", "1")]
    assert re.findall(r"kept: (.*)", printed) == [
        f"{count} messages, sources with a float as score" for count in (4, 8)
    ]


def test_hybrid_search_gains_most_by_reranking(tmp_path: Path) -> None:
    """The reranked list is better than either search and than their fusion, of which it leaves nothing out."""
    rows = re.findall(r"^(\w+) +([\d.]+) +(\d+) +(\d+)$", run_example("hybrid.py", tmp_path), re.MULTILINE)
    table = {name: (float(mrr), int(first), int(found)) for name, mrr, first, found in rows}
    assert list(table) == ["BM25", "dense", "fused", "reranked"]
    reranked = table.pop("reranked")
    for mrr, first, _ in table.values():
        assert reranked[0] > mrr
        assert reranked[1] > first
    assert reranked[2] == table["fused"][2] >= table["BM25"][2]


def test_stores_that_keep_token_embeddings_score_as_laterank_does(tmp_path: Path) -> None:
    """Qdrant's and LanceDB's MaxSim is ours, and all three put the right abstract first."""
    printed = run_example("multivector.py", tmp_path, **NO_TELEMETRY)
    rows = re.findall(r"^ +(\d+) +([\d.]+) +([\d.]+) +([\d.]+)$", printed, re.MULTILINE)
    assert len(rows) == 5
    assert rows[0][0] == "12805495"
    for _, ours, *theirs in rows:
        assert [float(score) for score in theirs] == pytest.approx([float(ours)] * 2, abs=2e-3)
