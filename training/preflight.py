"""What is checked before hours of work: that everything is there to read, and that the work folder is of the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
COLBERT, CROSS_ENCODER = "answerai-colbert-small-v1-int8", "ms-marco-minilm-l12-int8"
TEACHERS = {
    COLBERT: {
        "onnx/model_int8.onnx": "4980983628c18e4f0a4c756114abd2d7c097c6ccad9cffc70e77302d21e05df0",
        "1_Dense/model.safetensors": "47d2690e7c1612c84b7b941e69a883e99190b9b44ebb0be00152f68966c6eb11",
    },
    CROSS_ENCODER: {
        "model.onnx": "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
        "tokenizer.json": "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
    },
}
"""Folders, their files and the sha256 of each: the card and every number here are of these."""
RECORD = "made_with.json"


def check_inputs(data: Path, teachers: Path) -> None:
    """Look for all that the stages read.

    Raises:
        ValueError: If something is missing, or a teacher is another or damaged, with its name and place.
    """
    problems = []
    teacher_files = [f"{name}/{file}" for name, files in TEACHERS.items() for file in files]
    for option, folder, wanted in (("--data", data, DATA), ("--teachers", teachers, teacher_files)):
        if missing := [pattern.removesuffix("*") for pattern in wanted if not any(folder.glob(pattern))]:
            problems.append(
                f'{option} {folder} lacks {", ".join(missing)}; README.md, "Data", tells what is read: put it there, or '
                f"name another folder with {option}"
            )
    if problems:
        raise ValueError("\n".join(problems))
    for name in TEACHERS:
        check_teacher(teachers / name, name)


def check_teacher(folder: Path, name: str) -> None:
    """Compare the files of a teacher with those that every number here was made with.

    Raises:
        ValueError: If one is damaged or another.
    """
    for file, expected in TEACHERS[name].items():
        if (found := hashlib.sha256((folder / file).read_bytes()).hexdigest()) != expected:
            raise ValueError(
                f"{folder / file} has sha256 {found}, expected {expected}: it is damaged or another file; README.md, "
                '"Data", tells where the teachers are'
            )


def recorded(folder: Path) -> dict[str, Any]:
    """Return the options that a folder is made with, as far as they were written down."""
    record = folder / RECORD
    found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    return found


def check_same_run(folder: Path, made_with: Mapping[str, object], *begun: Path) -> None:
    """Write down with what options a folder is made, or compare them with those that it was made with.

    Args:
        folder: Where results are kept, made where it is not there.
        made_with: The values of the options that its content depends on, as JSON has them.
        begun: What lies there, one or another, once something was made with them; before that they may still change.

    Raises:
        ValueError: If the options differ, or were not written down.
    """
    record, before = folder / RECORD, recorded(folder)
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
