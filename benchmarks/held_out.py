"""Judged collections that the embedded model has never met, made from public repositories.

Run ``python benchmarks/held_out.py FOLDER``, then ``python benchmarks/quality.py --data FOLDER --results RESULTS``. Nothing about
the model was trained, chosen or tuned with any of them. Files come at fixed commits, so that a collection is the same wherever it is made.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

MOST_QUERIES, SEED = 300, 0
Read = Callable[[str], str]
"""A path within a repository to the text of that file."""


@dataclass(slots=True)
class Judged:
    """A collection: documents as title and text, queries, and the documents that are known to answer each."""

    documents: dict[str, tuple[str, str]] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    grades: dict[str, dict[str, int]] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, str] = field(default_factory=dict)

    def document(self, name: str, title: str, text: str) -> str:
        """Add a document unless one is there that is alike but for case, blanks and punctuation; return its id."""
        alike = re.sub(r"\W+", "", f"{title}{text}".lower())
        known = self._known.setdefault(alike, name)
        self.documents.setdefault(known, (title, text))
        return known

    def query(self, name: str, text: str) -> str:
        """Add a query unless the same was asked; return its id."""
        known = self._asked.setdefault(text, name)
        self.queries[known] = text
        return known

    def judge(self, query: str, document: str, grade: int = 1) -> None:
        """Keep the best grade of a pair."""
        grades = self.grades.setdefault(query, {})
        grades[document] = max(grade, grades.get(document, 0))


def one_line(text: str) -> str:
    """Return the text with each run of blanks as one."""
    return " ".join(text.split())


def smart_records(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield number and fields by letter of a file of the SMART collections."""
    for record in re.split(r"(?m)^\.I +(?=\d)", text.replace("\r", ""))[1:]:
        number, _, rest = record.partition("\n")
        fields = re.split(r"(?m)^\.([A-Z])[ \t]*\n", rest)
        yield (
            number.strip(),
            {letter: one_line(value) for letter, value in zip(fields[1::2], fields[2::2], strict=True)},
        )


def smart(read: Read, files: str) -> Judged:
    """Read a SMART collection: ``.T`` is a title, ``.W`` a text; ``files`` lacks the endings."""
    made = Judged()
    for name, parts in smart_records(read(f"{files}.ALL")):
        made.documents[name] = (parts.get("T", ""), parts.get("W", ""))
    for name, parts in smart_records(read(f"{files}.QRY")):
        made.queries[name] = f"{parts.get('T', '')} {parts['W']}".strip()
    for line in read(f"{files}.REL").splitlines():
        if cells := line.split():
            made.judge(cells[0], cells[1])
    return made


def med(read: Read) -> Judged:
    """Read MEDLINE abstracts, each judged for each of 30 questions."""
    return smart(read, "med/MED")


def cisi(read: Read) -> Judged:
    """Read abstracts of library science; its later queries are abstracts, too."""
    return smart(read, "CISI")


def bioasq(read: Read) -> Judged:
    """Read experts' questions, and the snippets of PubMed abstracts that they found to answer them (BioASQ 12b, golden)."""
    made = Judged()
    for batch in (1, 2, 3, 4):
        for question in json.loads(read(f"data/BioASQ-12b/goldset/12B{batch}_golden.json"))["questions"]:
            query = made.query(question["id"], one_line(question["body"]))
            for snippet in question.get("snippets", []):
                article = snippet["document"].rsplit("/", 1)[1]
                if text := one_line(snippet["text"]):
                    made.judge(query, made.document(f"{article}-{len(made.documents)}", "", text))
    return made


def boolq(read: Read) -> Judged:
    """Read yes-no questions to a search engine, and the Wikipedia passage that each was asked with (BoolQ, dev)."""
    made = Judged()
    for example in map(json.loads, read("data/dev.jsonl").splitlines()):
        title = one_line(example["title"])
        text = one_line(example["passage"]).removeprefix(f"{title} -- ")
        query = made.query(f"q{len(made.queries)}", one_line(example["question"]))
        made.judge(query, made.document(f"p{len(made.documents)}", title, text))
    return made


def climate_fever(read: Read) -> Judged:
    """Read claims about the climate, and sentences of Wikipedia that support or refute them; others are judged as of no use."""
    made = Judged()
    for claim in map(json.loads, read("dataset/climate-fever.jsonl").splitlines()):
        query = made.query(claim["claim_id"], one_line(claim["claim"]))
        for evidence in claim["evidences"]:
            title, text = one_line(evidence["article"]), one_line(evidence["evidence"])
            grade = int(evidence["evidence_label"] != "NOT_ENOUGH_INFO")
            made.judge(query, made.document(f"s{len(made.documents)}", title, text), grade)
    return made


def cosqa(read: Read) -> Judged:
    """Read queries to a search engine, and the Python function that annotators say answers each (CoSQA, retrieval test)."""
    made = Judged()
    for code, number in json.loads(read("data/search/code_idx_map.txt")).items():
        made.documents[str(number)] = ("", code)
    for example in json.loads(read("data/search/cosqa-retrieval-test-500.json")):
        query = made.query(example["idx"], one_line(example["doc"]))
        made.judge(query, str(example["retrieval_idx"]))
    return made


def mbpp(read: Read) -> Judged:
    """Read statements of small problems, and their own solutions in Python, without words of explanation (MBPP, test)."""
    made = Judged()
    known: dict[str, str] = {}
    tests = set()
    for problem in map(json.loads, read("data/mbpp.jsonl").splitlines()):
        code = problem["code"].replace("\r\n", "\n").replace("\t", "    ").strip()
        name = str(problem["task_id"])
        document = known.setdefault(one_line(code), name)  # in code a sign makes a difference
        made.documents.setdefault(document, ("", code))
        query = made.query(name, one_line(problem["text"]))
        made.judge(query, document)
        if 11 <= problem["task_id"] <= 510:
            tests.add(query)
    made.queries = {name: text for name, text in made.queries.items() if name in tests}
    return made


SOURCES: dict[str, tuple[str, str, Callable[[Read], Judged]]] = {
    "med": ("lailaglez/belief-network-irs", "9094e4cde738bd93ed1747dc958b5acb0e0fa684", med),
    "bioasq": ("MattMorgis/bioasq-rag", "b62e49bd6512b2c9084bae341bdf14e1654dc200", bioasq),
    "boolq": ("d-eremeev/BoolQ-Question-Answering", "72c347852e309ad087cf9f57517b769712a7a2a4", boolq),
    "climate-fever": (
        "tdiggelm/climate-fever-dataset",
        "03de61617b10a5c1935f8e08bb0e8ac1ee775356",
        climate_fever,
    ),
    "cosqa": ("Jun-jie-Huang/CoCLR", "14ebcacf9e9bc3e7109102632bc63047876f27d2", cosqa),
    "mbpp": ("OckBench/OckBench", "b72752a0ba5989d3c212675ec60d3eedcd838628", mbpp),
    "cisi": ("PsychoProg/tf-idf", "beee251dd1356ee4ffb453ac60cf8f9112840f5d", cisi),
}
"""Repositories on GitHub with their commits. Each collection's own terms hold; nothing of them is kept here."""


def fetched(repository: str, commit: str, folder: Path) -> Read:
    """Fetch one commit of a repository, without its files; return what fetches and reads one."""

    def git(*words: str) -> bytes:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(
                f"{repository} at {commit}: git {words[0]} failed: {done.stderr.decode().strip()}"
            )
        return done.stdout

    git("init", "--quiet")
    git("remote", "add", "origin", repository)
    git("fetch", "--quiet", "--depth", "1", "--filter", "blob:none", "origin", commit)

    def read(path: str) -> str:
        return git("show", f"{commit}:{path}").decode("utf-8", errors="replace")

    return read


def write(made: Judged, folder: Path) -> str:
    """Write the three files of a collection, with at most 300 of its queries that have an answer; return what it holds."""
    grades = {
        query: {
            document: grade
            for document, grade in made.grades.get(query, {}).items()
            if document in made.documents
        }
        for query in made.queries
    }
    answered = [query for query, of in grades.items() if any(of.values())]
    chosen = set(random.Random(SEED).sample(answered, min(MOST_QUERIES, len(answered))))
    queries = [query for query in answered if query in chosen]
    documents = [{"id": name, "title": title, "text": text} for name, (title, text) in made.documents.items()]
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "corpus.jsonl.gz", documents)
    write_lines(
        folder / "queries.jsonl.gz", [{"id": query, "text": made.queries[query]} for query in queries]
    )
    judged = [f"{query}\t{name}\t{grade}\n" for query in queries for name, grade in grades[query].items()]
    (folder / "qrels.tsv").write_text("".join(judged), encoding="utf-8")
    return f"{len(documents):,} documents, {len(queries)} of {len(made.queries)} queries"


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    """Write JSON lines, compressed, the same bytes each time."""
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        file.writelines((json.dumps(record, ensure_ascii=False) + "\n").encode() for record in records)


def main() -> None:
    """Make the collections that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="gets ir/NAME for each collection")
    parser.add_argument("--collection", action="append", choices=sorted(SOURCES), help="only these")
    parser.add_argument(
        "--source", default="https://github.com", help="where the repositories are fetched from"
    )
    options = parser.parse_args()
    for name in options.collection or SOURCES:
        repository, commit, make = SOURCES[name]
        with TemporaryDirectory() as clone:
            made = make(fetched(f"{options.source}/{repository}", commit, Path(clone)))
        print(f"{name}: {write(made, options.folder / 'ir' / name)}", flush=True)


if __name__ == "__main__":
    main()
