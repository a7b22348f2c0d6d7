"""Choose the questions and abstracts of this folder from the whole of PubMedQA.

A question is chosen where BM25's first two abstracts score closest, whichever of them is right: there a first stage
is least sure, and a reranker has something to decide. The judgements are not looked at.

Usage: python make_data.py FOLDER, where FOLDER holds corpus.jsonl.gz and queries.jsonl.gz, each line with an id and a
text, and a question has the id of its abstract.
"""

import gzip
import json
import sys
from pathlib import Path

import bm25s

QUESTIONS = 50
ABSTRACTS_PER_QUESTION = 3
HERE = Path(__file__).parent


def main(source: Path) -> None:
    """Read the collection, choose, and write the two files beside this one."""
    abstracts = read_lines(source / "corpus.jsonl.gz")
    questions = read_lines(source / "queries.jsonl.gz")

    bm25 = bm25s.BM25()
    bm25.index(tokens(abstracts), show_progress=False)
    found, scores = bm25.retrieve(tokens(questions), k=ABSTRACTS_PER_QUESTION, show_progress=False)
    lead = 1 - scores[:, 1] / scores[:, 0]
    chosen = set(lead.argsort(kind="stable")[:QUESTIONS].tolist())

    kept_ids = {questions[row]["id"] for row in chosen}
    kept_ids |= {abstracts[position]["id"] for row in chosen for position in found[row]}
    write_lines(HERE / "abstracts.jsonl", [abstract for abstract in abstracts if abstract["id"] in kept_ids])
    asked = [question for row, question in enumerate(questions) if row in chosen]
    write_lines(HERE / "questions.jsonl", asked)
    judged = "".join(f"{question['id']}\t{question['id']}\t1\n" for question in asked)
    (HERE / "judgements.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged, encoding="utf-8")

    right = [
        abstracts[first[0]]["id"] == question["id"] for question, first in zip(questions, found, strict=True)
    ]
    print(
        f"BM25 puts the right abstract first for {sum(right) / len(right):.1%} of all {len(right)} questions,"
    )
    print(f"and for {sum(right[row] for row in chosen)} of the {len(chosen)} chosen ones.")


def tokens(entries: list[dict[str, str]]) -> list[list[str]]:
    """Split texts into lower-case words, without English stop words."""
    return bm25s.tokenize([entry["text"] for entry in entries], stopwords="en", show_progress=False)


def read_lines(path: Path) -> list[dict[str, str]]:
    """Read one JSON object a line."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_lines(path: Path, entries: list[dict[str, str]]) -> None:
    """Write the id and the text of each entry, one JSON object a line."""
    lines = [json.dumps({"id": entry["id"], "text": entry["text"]}, ensure_ascii=False) for entry in entries]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
