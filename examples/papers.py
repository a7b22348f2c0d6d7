"""The examples' documents: abstracts of papers, and questions that each have one right abstract (see data/README.md)."""

import json
from collections.abc import Sequence
from pathlib import Path

DATA = Path(__file__).parent / "data"


def abstracts() -> list[dict[str, str]]:
    """Return 152 abstracts, each ``{"id", "text"}``."""
    return _read_lines(DATA / "abstracts.jsonl")


def questions() -> list[dict[str, str]]:
    """Return 50 questions, each ``{"id", "text"}`` with the id of its right abstract."""
    return _read_lines(DATA / "questions.jsonl")


def question(right_id: str) -> dict[str, str]:
    """Return the question that one abstract answers."""
    return next(asked for asked in questions() if asked["id"] == right_id)


def print_places(asked: dict[str, str], before: Sequence[str | None], after: Sequence[str | None]) -> None:
    """Print a question, and where its right abstract stands."""
    print(asked["text"])
    print(f"  {places(asked, before, after)}")


def places(asked: dict[str, str], before: Sequence[str | None], after: Sequence[str | None]) -> str:
    """Say where a question's right abstract stands among the ids that were found, before and after."""
    return f"right abstract: place {_place(asked, before)} before reranking, {_place(asked, after)} after"


def _place(asked: dict[str, str], ids: Sequence[str | None]) -> str:
    return str(ids.index(asked["id"]) + 1) if asked["id"] in ids else f"not among {len(ids)}"


def _read_lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
