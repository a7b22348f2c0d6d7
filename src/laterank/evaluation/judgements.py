"""Judgements and runs: the formats of BEIR and TREC, told apart by their first line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from laterank.errors import CollectionError
from laterank.evaluation.collection import Ranking, ScoredRanking
from laterank.evaluation.lines import numbered_lines, refused

__all__ = ["read_judgements", "read_run", "read_scored_run"]

JUDGEMENT = "'query<TAB>document<TAB>grade' (BEIR), or 'query 0 document grade' (TREC), with a whole number as the grade"
HEADER = ("score", "grade", "relevance", "rel", "label")
"""How the last column is called where there is a header; BEIR's is query-id, corpus-id, score."""
RUN = "'query Q0 document rank score tag' (TREC), with a number as the score"


def read_judgements(path: Path) -> dict[str, dict[str, int]]:
    """Read who judged what: every grade, by query and document.

    Three columns are BEIR's, with or without its header; four are TREC's, whose second says nothing. Columns are parted by
    tabs, or by blanks where there is no tab.

    Raises:
        CollectionError: If a line is neither, or a pair has two different grades, naming the line.
    """
    judged: dict[str, dict[str, int]] = {}
    for number, line, cells in _columns(path):
        if len(cells) not in (3, 4):
            raise refused(path, number, line, JUDGEMENT)
        query, document, grade = cells[0], cells[-2], _whole_number(cells[-1])
        if grade is None:
            if number == 1 and cells[-1].lower() in HEADER:
                continue
            raise refused(path, number, line, JUDGEMENT)
        if judged.setdefault(query, {}).setdefault(document, grade) != grade:
            known = judged[query][document]
            raise refused(path, number, line, f"one grade a pair; this one was {known} before")
    if not judged:
        raise CollectionError(f"{path} holds no judgements; expected lines of {JUDGEMENT}")
    return judged


def read_run(path: Path) -> Ranking:
    """Read a first stage's results: each query's documents, the best first.

    They are sorted by score, as trec_eval does; equal scores by rank. (trec_eval sorts equal ones by document.)

    Raises:
        CollectionError: If a line is none of a run, or a document is twice in a query's results, naming the line.
    """
    return {query: list(documents) for query, documents in read_scored_run(path).items()}


def read_scored_run(path: Path) -> ScoredRanking:
    """Read a first stage's results with their scores, in the order of ``read_run``.

    Raises:
        CollectionError: As ``read_run`` raises it.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for number, line, cells in _columns(path):
        rank, score = (_number(cells[3]), _number(cells[4])) if len(cells) in (5, 6) else (None, None)
        if rank is None or score is None:
            raise refused(path, number, line, RUN)
        documents = found.setdefault(cells[0], {})
        if cells[2] in documents:
            raise refused(path, number, line, f"each document once a query; {cells[2]} was there before")
        documents[cells[2]] = (-score, rank)
    if not found:
        raise CollectionError(f"{path} holds no results; expected lines of {RUN}")
    return {
        query: {
            document: -documents[document][0] for document in sorted(documents, key=documents.__getitem__)
        }
        for query, documents in found.items()
    }


def _columns(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    for number, line in numbered_lines(path):
        parts = line.split("\t") if "\t" in line else line.split()
        yield number, line, [part.strip() for part in parts]


def _whole_number(text: str) -> int | None:
    """Return the number; also ``1.0``, which spreadsheets write."""
    value = _number(text)
    return int(value) if value is not None and value.is_integer() else None


def _number(text: str) -> float | None:
    """Return a finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value - value == 0 else None
