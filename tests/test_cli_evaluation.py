"""``laterank evaluate`` and ``laterank compare``: from files to tables, files and exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import GOLDEN

pytest.importorskip("typer", reason="the command line needs the extra laterank[cli]")

from laterank.cli import main
from laterank.evaluation import evaluate, read_collection

TINY = str(GOLDEN / "bert-pylate")
DOCUMENTS = {
    "d1": "Mars is red.",
    "d2": "Venus is hot.",
    "d3": "The sea is deep.",
    "d4": "Ships sail the sea.",
}
QUERIES = {"q1": "Which planet is red?", "q2": "What is deep?"}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a collection."""
    folder = tmp_path / "planets"
    folder.mkdir()
    for name, texts in (("corpus", DOCUMENTS), ("queries", QUERIES)):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "qrels.tsv").write_text("q1\td1\t1\nq2\td3\t1\n", encoding="utf-8")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process: exit code, output, errors."""

    def run_command(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_command


def test_evaluate_gives_what_the_function_gives(run: Run, folder: Path, tmp_path: Path) -> None:
    """As tables on standard output, as JSON, and in files; nothing else is printed where it is no terminal."""
    files = [tmp_path / "out" / f"found{ending}" for ending in (".json", ".md", ".html", ".svg")]
    outs = [part for path in files for part in ("--out", path)]
    code, printed, errors = run("evaluate", folder, "-m", TINY, "--timed", 0, "--measure", "MRR@3", *outs)
    assert (code, errors) == (0, "")
    expected = evaluate(read_collection(folder), TINY, measures=["MRR@3"], timed_queries=0)
    assert printed == expected.to_markdown()
    assert [path.read_text(encoding="utf-8") for path in files[1:]] == [
        expected.to_markdown(),
        expected.to_html(),
        expected.to_svg(),
    ]
    assert json.loads(files[0].read_text(encoding="utf-8")) == json.loads(json.dumps(expected.to_dict()))
    code, printed, _ = run("evaluate", folder, "-m", TINY, "--timed", 0, "--measure", "MRR@3", "--json")
    assert (code, json.loads(printed)) == (0, json.loads(json.dumps(expected.to_dict())))


def test_evaluate_takes_files_a_run_and_several_models(run: Run, folder: Path, tmp_path: Path) -> None:
    """Side by side, over one's own first stage."""
    first = tmp_path / "dense.run"
    first.write_text("q1 Q0 d2 1 0.9 x\nq1 Q0 d1 2 0.8 x\nq2 Q0 d3 1 0.7 x\n", encoding="utf-8")
    code, printed, _ = run(
        "evaluate",
        *("--corpus-file", folder / "corpus.jsonl", "--queries-file", folder / "queries.jsonl"),
        *("--qrels-file", folder / "qrels.tsv", "--run", first, "--depth", 2, "--timed", 1, "--json"),
        *("-m", TINY, "-m", f"{TINY},threads=1"),
    )
    found = json.loads(printed)
    assert code == 0
    assert list(found["systems"])[:2] == ["dense.run", "bert-pylate"]
    assert found["systems"]["dense.run"]["queries"]["MRR@10"] == {"q1": 0.5, "q2": 1.0}
    assert found["systems"]["bert-pylate"]["timing"]["queries"] == 1


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("--fusion", "rrf"), "bert-pylate,fusion=rrf"),
        (("--fusion", "weighted", "--fusion-weight", 0.2), "bert-pylate,fusion=weighted,fusion_weight=0.2"),
        (("--budget", 2), "bert-pylate,budget=2"),
        (("--patience", 1, "--top-n", 10), "bert-pylate,patience=1,top_n=10"),
    ],
)
def test_evaluate_shows_a_model_alone_and_with_options(
    run: Run, folder: Path, options: tuple[object, ...], name: str
) -> None:
    """Side by side, under a name that says how."""
    code, printed, _ = run("evaluate", folder, "-m", TINY, "--timed", 1, "--json", *options)
    assert code == 0
    assert list(json.loads(printed)["systems"]) == ["BM25", "bert-pylate", name]


def test_compare_prints_the_tables_and_the_explanations(run: Run, folder: Path, tmp_path: Path) -> None:
    """And a page in place of the explanations where it is saved; judgements are not needed."""
    (folder / "qrels.tsv").unlink()
    models = ("-m", TINY, "-m", f"{TINY},truncate_dim=2")
    code, printed, _ = run("compare", folder, *models, "--explain", 1)
    assert code == 0
    assert "## The queries that differ most" in printed
    assert "before is bert-pylate" in printed
    page = tmp_path / "page.html"
    code, printed, _ = run("compare", folder, *models, "--explain", 1, "-o", page)
    assert code == 0
    assert "before is" not in printed
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    code, printed, _ = run("compare", folder, *models, "--explain", 1, "--json")
    assert {query["id"] for query in json.loads(printed)["queries"]} == set(QUERIES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evaluate", "nowhere"), "nowhere is no folder"),
        (("evaluate",), "neither a folder nor a file for the corpus"),
        (("evaluate", "FOLDER", "--split", "dev"), "expected qrels/dev.tsv"),
        (("evaluate", "FOLDER", "--split", "dev", "--qrels-file", "none.tsv"), "none.tsv cannot be read"),
        (("evaluate", "FOLDER", "-o", "plot.png"), "plot.png has no known ending"),
        (("evaluate", "FOLDER", "--measure", "nDGC@10"), "measure 'nDGC@10' is unknown"),
        (("evaluate", "FOLDER", "-m", TINY, "--fusion", "rrf", "--budget", "2"), "fusion mixes two rankings"),
        (("evaluate", "FOLDER", "-m", TINY, "--patience", "2"), "pass --top-n"),
        (("evaluate", "FOLDER", "-m", TINY, "--patience", "2", "--top-n", "3"), "further than --top-n"),
        (("evaluate", "FOLDER", "-m", TINY, "--top-n", "3"), "without patience"),
        (("compare", "FOLDER"), "name two with --model"),
        (("compare", "FOLDER", "-m", TINY, "--top-k", "4"), "--top-k is 4, and a query has 4 candidates"),
        (("compare", "FOLDER", "-m", "bundled,colour=red"), "setting 'colour=red'"),
    ],
)
def test_a_wrong_use_ends_with_2_and_says_so(
    arguments: tuple[str, ...], said: str, run: Run, folder: Path
) -> None:
    """In one line on standard error."""
    code, printed, errors = run(*(folder if argument == "FOLDER" else argument for argument in arguments))
    assert (code, printed) == (2, "")
    assert errors.startswith("laterank: ")
    assert said in errors
