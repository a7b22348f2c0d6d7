"""Collections made from public repositories: what is read of them, and what is written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from laterank.evaluation.reading import read_collection

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import held_out

ALL = ".I 1\n.T\nOn red\nplanets\n.W\nMars is red .\n.I 2\n.W\nVenus\n.I 3\n.W\nNobody asks\n"
QUERIES = ".I 1\n.W\nwhich is red\n.I 2\n.W\nunanswered\n"
CLAIM = {
    "claim_id": "7",
    "claim": "It warms.",
    "evidences": [
        {"article": "Heat", "evidence": "It warms!", "evidence_label": "SUPPORTS"},
        {"article": "Heat", "evidence": "it  warms", "evidence_label": "NOT_ENOUGH_INFO"},
        {"article": "Ice", "evidence": "It does.", "evidence_label": "NOT_ENOUGH_INFO"},
    ],
}
PROBLEMS = [
    {"task_id": 1, "text": "Add.", "code": "a + b"},
    {"task_id": 11, "text": "Take away.", "code": "a - b"},
    {"task_id": 12, "text": "Add.", "code": "a  +\r\nb"},
    {"task_id": 999, "text": "Multiply.", "code": "a * b"},
]


def of_files(**files: str) -> held_out.Read:
    """Return what reads these as files of a repository."""
    return lambda path: files[path.rpartition("/")[2].replace(".", "_").replace("-", "_")]


def test_a_smart_collection_is_read_and_written(tmp_path: Path) -> None:
    """Titles, line breaks, queries that nothing answers; and the same bytes each time."""
    made = held_out.med(of_files(MED_ALL=ALL, MED_QRY=QUERIES, MED_REL="1 1 1\n1 2 1\n\n1 99 1\n"))
    assert held_out.write(made, tmp_path / "one") == "3 documents, 1 of 2 queries"
    held_out.write(made, tmp_path / "two")
    for name in ("corpus.jsonl.gz", "queries.jsonl.gz", "qrels.tsv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    collection = read_collection(tmp_path / "one")
    assert collection.queries == {"1": "which is red"}
    assert set(collection.relevant["1"]) == {"1", "2"}
    assert "On red planets" in collection.documents["1"]
    assert "Mars is red ." in collection.documents["1"]


def test_alike_sentences_are_one_document_of_the_best_grade() -> None:
    """But for case, blanks and punctuation."""
    made = held_out.climate_fever(of_files(climate_fever_jsonl=json.dumps(CLAIM)))
    assert made.documents == {"s0": ("Heat", "It warms!"), "s1": ("Ice", "It does.")}
    assert made.grades == {"7": {"s0": 1, "s1": 0}}


def test_code_is_alike_but_for_blanks_only() -> None:
    """A sign makes another program; equal questions are one, and answered by all of their solutions."""
    made = held_out.mbpp(of_files(mbpp_jsonl="\n".join(map(json.dumps, PROBLEMS))))
    assert set(made.documents) == {"1", "11", "999"}
    assert made.queries == {"1": "Add.", "11": "Take away."}
    assert made.grades["1"] == {"1": 1}


def test_a_sample_of_many_queries_is_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most so many, in their order."""
    monkeypatch.setattr(held_out, "MOST_QUERIES", 3)
    made = held_out.Judged()
    for number in range(9):
        made.judge(made.query(f"q{number}", f"{number}?"), made.document(f"d{number}", "", f"text {number}"))
    assert held_out.write(made, tmp_path) == "9 documents, 3 of 9 queries"
    first = list(read_collection(tmp_path).queries)
    held_out.write(made, tmp_path)
    assert list(read_collection(tmp_path).queries) == first == sorted(first)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_file_comes_from_a_repository_at_a_commit(tmp_path: Path) -> None:
    """Whatever was committed later; a commit that is not there is named."""
    repository = tmp_path / "repository"
    commits = []
    for content in ("first", "second"):
        repository.mkdir(exist_ok=True)
        (repository / "file.txt").write_text(content, encoding="utf-8")
        commits.append(commit_all(repository))
    source = repository.as_uri()
    (tmp_path / "one").mkdir()
    assert held_out.fetched(source, commits[0], tmp_path / "one")("file.txt") == "first"
    (tmp_path / "two").mkdir()
    with pytest.raises(SystemExit, match=f"{'0' * 40}: git fetch failed"):
        held_out.fetched(source, "0" * 40, tmp_path / "two")


def commit_all(repository: Path) -> str:
    """Commit what lies there, and let anybody fetch any commit of it; return the commit."""

    def git(*words: str) -> str:
        person = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        return subprocess.run(
            ["git", "-C", str(repository), *person, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "--quiet")
    git("config", "uploadpack.allowFilter", "true")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    git("add", ".")
    git("commit", "--quiet", "--message", "a change")
    return git("rev-parse", "HEAD")
