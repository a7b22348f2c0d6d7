"""Reading collections: the formats of BEIR and TREC, and what an error names."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from laterank.errors import CollectionError, InputError
from laterank.evaluation import read_collection, read_judgements, read_run

DOCUMENTS = [("d1", "Mars", "is red."), ("d2", "", "Venus is hot."), ("d3", "Rose", "")]
QUERIES = [("q1", "Which planet is red?"), ("q2", "Which planet is hot?"), ("q3", "Who knows?")]
TEXTS = {"d1": "Mars is red.", "d2": "Venus is hot.", "d3": "Rose"}
RELEVANT = {"q1": {"d1": 2}, "q2": {"d2": 1, "d1": 1}}
TRIPLES = [("q1", "d1", 2), ("q1", "d2", 0), ("q2", "d2", 1), ("q2", "d1", 1), ("q3", "d3", 0)]


def write(path: Path, text: str) -> Path:
    """Write a text, compressed where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def json_text(rows: list[dict[str, str]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def beir(folder: Path, key: str = "_id", ending: str = "") -> None:
    """Write corpus and queries."""
    documents = [{key: name, "title": title, "text": text, "metadata": {}} for name, title, text in DOCUMENTS]
    write(folder / f"corpus.jsonl{ending}", json_text(documents))
    write(folder / f"queries.jsonl{ending}", json_text([{key: name, "text": text} for name, text in QUERIES]))


def with_header(folder: Path) -> None:
    beir(folder)
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in TRIPLES)]
    write(folder / "qrels" / "test.tsv", "\n".join(lines))
    write(folder / "qrels" / "dev.tsv", "query-id\tcorpus-id\tscore\nq3\td3\t1\n")


def without_header(folder: Path) -> None:
    beir(folder, key="id", ending=".gz")
    write(
        folder / "qrels.tsv", "".join(f"{query}\t{document}\t{grade}\n" for query, document, grade in TRIPLES)
    )


def trec(folder: Path) -> None:
    write(folder / "corpus.tsv", "".join(f"{name}\t{text}\n" for name, text in TEXTS.items()))
    write(folder / "queries.tsv", "".join(f"{name}\t{text}\r\n" for name, text in QUERIES))
    lines = "".join(f"{query} 0 {document}  {grade}\r\n" for query, document, grade in TRIPLES)
    write(folder / "qrels.txt.gz", f"\ufeff{lines}\n")


@pytest.mark.parametrize("layout", [with_header, without_header, trec])
def test_the_same_collection_is_read_from_every_format(
    layout: Callable[[Path], None], tmp_path: Path
) -> None:
    """With titles, compressed or not; queries without a relevant document are left out and told."""
    layout(tmp_path / "planets")
    found = read_collection(tmp_path / "planets")
    assert found.name == "planets"
    assert found.documents == TEXTS
    assert found.queries == dict(QUERIES[:2])
    assert found.relevant == RELEVANT
    assert found.notes == ("Queries without a relevant document in the corpus are left out: 1, such as q3",)


def test_files_may_lie_anywhere(tmp_path: Path) -> None:
    """One that is named goes before the folder's."""
    trec(tmp_path / "a")
    other = write(tmp_path / "b" / "mine.tsv", "q3\td3\t1\n")
    assert read_collection(tmp_path / "a", qrels=other).relevant == {"q3": {"d3": 1}}
    single = read_collection(
        corpus=tmp_path / "a" / "corpus.tsv", queries=tmp_path / "a" / "queries.tsv", qrels=other
    )
    assert (single.name, single.relevant) == ("a", {"q3": {"d3": 1}})


def test_a_split_is_chosen(tmp_path: Path) -> None:
    """BEIR's folders have several."""
    with_header(tmp_path)
    assert read_collection(tmp_path, split="dev").relevant == {"q3": {"d3": 1}}
    with pytest.raises(CollectionError, match=r"expected qrels/train\.tsv"):
        read_collection(tmp_path, split="train")


def test_without_judgements_every_query_stays(tmp_path: Path) -> None:
    """Two models can be compared all the same."""
    beir(tmp_path)
    found = read_collection(tmp_path, judged=False)
    assert (found.queries, found.relevant, found.notes) == (dict(QUERIES), {}, ())


def test_ids_that_are_unknown_are_told(tmp_path: Path) -> None:
    """They do not count."""
    beir(tmp_path)
    write(tmp_path / "qrels.tsv", "q1\td1\t1\nq2\tgone\t1\nstranger\td1\t1\nq3\td3\t1\n")
    found = read_collection(tmp_path)
    assert found.relevant == {"q1": {"d1": 1}, "q3": {"d3": 1}}
    assert found.notes == (
        "Judged documents that are not in the corpus do not count: 1, such as gone",
        "Judged queries that are not among the queries do not count: 1, such as stranger",
        "Queries without a relevant document in the corpus are left out: 1, such as q2",
    )


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "corpus.jsonl",
            '{"_id": "d1", "text": "x"}\nplain\n',
            r"corpus\.jsonl:2: 'plain'; expected a JSON object",
        ),
        ("corpus.jsonl", "[" * 200_000 + "\n", r"corpus\.jsonl:1: .*; expected a JSON object"),
        ("corpus.jsonl", '{"id": 1' + "0" * 5_000 + "}", r"corpus\.jsonl:1: .*; expected a JSON object"),
        ("corpus.jsonl", '["d1", "x"]\n', r"corpus\.jsonl:1: .*; expected a JSON object"),
        ("corpus.jsonl", '{"_id": "d1"}\n', r"corpus\.jsonl:1: .*'id' \(or '_id'\) and 'text'"),
        ("corpus.jsonl", '{"text": "x"}\n', r"corpus\.jsonl:1: "),
        (
            "corpus.jsonl",
            '{"_id": "d1", "text": "x"}\n\n{"_id": "d1", "text": "y"}\n',
            r":3: the id 'd1' is that of line 1",
        ),
        ("corpus.jsonl", "\n\n", r"corpus\.jsonl is empty"),
        ("queries.jsonl", '{"_id": "q1", "text": " "}\n', r"queries\.jsonl: the query 'q1' is blank"),
        (
            "qrels.tsv",
            "q1\td1\n",
            r"qrels\.tsv:1: 'q1\\td1'; expected 'query<TAB>document<TAB>grade' \(BEIR\)",
        ),
        ("qrels.tsv", "q1\td1\thigh\n", r"qrels\.tsv:1: .*a whole number as the grade"),
        ("qrels.tsv", "q1\td1\t1\nq1\td2\t0.5\n", r"qrels\.tsv:2: .*a whole number"),
        ("qrels.tsv", "q1\td1\t1\nq1\td1\t2\n", r"qrels\.tsv:2: .*this one was 1 before"),
        ("qrels.tsv", "\n", r"qrels\.tsv holds no judgements"),
        ("qrels.tsv", "q1\tgone\t1\n", r"qrels\.tsv judges .* do the ids fit together\?"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(file: str, text: str, said: str, tmp_path: Path) -> None:
    """File, line, what stands there and what was expected."""
    beir(tmp_path)
    write(tmp_path / "qrels.tsv", "q1\td1\t1\n")
    write(tmp_path / file, text)
    with pytest.raises(CollectionError, match=said):
        read_collection(tmp_path)


def test_a_folder_without_a_file_says_what_it_holds(tmp_path: Path) -> None:
    """And which names were looked for."""
    beir(tmp_path)
    with pytest.raises(
        CollectionError, match=r"has no qrels: it holds corpus\.jsonl, queries\.jsonl; expected qrels/test"
    ):
        read_collection(tmp_path)
    with pytest.raises(CollectionError, match="is no folder"):
        read_collection(tmp_path / "nowhere")
    with pytest.raises(CollectionError, match=r"nowhere\.tsv cannot be read: No such file"):
        read_collection(tmp_path, qrels=tmp_path / "nowhere.tsv")
    with pytest.raises(CollectionError, match="neither a folder nor a file for the corpus"):
        read_collection()


@pytest.mark.parametrize(
    ("content", "said"),
    [(gzip.compress(b"q1\td1\t1\n")[:-9], "is damaged"), (b"\xff\xfe1", "is no text in UTF-8")],
)
def test_a_damaged_file_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    """Whatever is wrong with its bytes."""
    path = tmp_path / "qrels.tsv.gz"
    path.write_bytes(content)
    with pytest.raises(CollectionError, match=rf"qrels\.tsv\.gz {said}"):
        read_judgements(path)


def test_a_run_is_sorted_by_score(tmp_path: Path) -> None:
    """As trec_eval does, whatever the lines' order; equal scores by rank."""
    lines = ["q1 Q0 d1 2 7.5 bm25", "q1 Q0 d2 1 9e0 bm25", "q2\tQ0\td3\t2\t1\tbm25", "q2\tQ0\td1\t1\t1\tbm25"]
    path = write(tmp_path / "bm25.run.gz", "\n".join(lines))
    assert read_run(path) == {"q1": ["d2", "d1"], "q2": ["d1", "d3"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("q1 Q0 d1 1 7.5 tag\nq1 d2 3\n", r":2: 'q1 d2 3'; expected 'query Q0 document rank score tag'"),
        ("q1 Q0 d1 first 7.5 tag\n", ":1: "),
        ("q1 Q0 d1 1 nan tag\n", ":1: "),
        ("q1 Q0 d1 1 2 tag\nq1 Q0 d1 2 1 tag\n", ":2: .*d1 was there before"),
        ("", "holds no results"),
    ],
)
def test_a_line_that_is_no_result_is_named(text: str, said: str, tmp_path: Path) -> None:
    """File, line and what was expected."""
    path = write(tmp_path / "run.txt", text)
    with pytest.raises(InputError, match=said):
        read_run(path)
