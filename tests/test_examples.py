"""Every example runs as its reader would run it, offline, and shows what it says it shows."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICKSTARTS = ("quickstart_langchain.py", "quickstart_llama_index.py")


@pytest.fixture(scope="module")
def demo_output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run the demo once for all tests."""
    return run_example("demo.py", tmp_path_factory.mktemp("elsewhere"))


def run_example(name: str, folder: Path) -> str:
    """Run an example from another folder, with the hub out of reach, and return what it printed."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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
