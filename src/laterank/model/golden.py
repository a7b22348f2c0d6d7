"""``golden.json``: what a model makes of a few texts, recorded where it worked, to be compared elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from laterank.errors import ModelFormatError
from laterank.model.json_files import read_json

__all__ = ["GOLDEN_FILE", "Golden", "GoldenText", "read_golden", "write_golden"]

GOLDEN_FILE = "golden.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class GoldenText:
    """One text and its tokens.

    Attributes:
        text: What was read.
        ids: Its token ids, markers and expansion among them.
        scored: 1 for each token that gives a row, else 0.
    """

    text: str
    ids: tuple[int, ...]
    scored: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What a model made of a few texts.

    Attributes:
        graph: The graph's file, relative to the model.
        settings: ``ColbertConfig.to_dict()``.
        queries: Queries with their tokens.
        documents: Documents with their tokens.
        scores: MaxSim divided by the query's rows. *Shape:* ``(queries, documents)``
        tolerance: How far a score may be off: INT8 rounds differently on other processors.
        made_with: Versions, for people.
    """

    graph: str
    settings: Mapping[str, Any]
    queries: tuple[GoldenText, ...]
    documents: tuple[GoldenText, ...]
    scores: tuple[tuple[float, ...], ...]
    tolerance: float
    made_with: Mapping[str, str]


def read_golden(path: Path) -> Golden:
    """Read a record.

    Raises:
        ModelFormatError: If the file is broken or of a newer format.
    """
    raw = read_json(path)
    if raw.get("format") != FORMAT:
        raise ModelFormatError(
            f'{path}: "format" is {raw.get("format")!r}, this laterank reads {FORMAT}; upgrade laterank, or delete the file'
        )
    try:
        return Golden(
            graph=str(raw["graph"]),
            settings=dict(raw["settings"]),
            queries=_texts(raw["queries"]),
            documents=_texts(raw["documents"]),
            scores=tuple(tuple(float(score) for score in row) for row in raw["scores"]),
            tolerance=float(raw["tolerance"]),
            made_with=dict(raw["made_with"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFormatError(
            f"{path} is no record of scores ({type(error).__name__}: {error}); download the model again, or record it anew"
        ) from error


def write_golden(path: Path, golden: Golden) -> None:
    """Write a record.

    Raises:
        OSError: If the file cannot be written.
    """
    text = json.dumps({"format": FORMAT, **asdict(golden)}, ensure_ascii=False)
    path.write_text(
        text.replace('"queries"', '\n"queries"').replace('{"text"', '\n{"text"') + "\n", encoding="utf-8"
    )


def _texts(raw: list[Mapping[str, Any]]) -> tuple[GoldenText, ...]:
    return tuple(GoldenText(str(text["text"]), tuple(text["ids"]), tuple(text["scored"])) for text in raw)
