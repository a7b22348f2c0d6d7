"""Both training stages on a machine that is lent for minutes and reaches nothing: what goes there, and what comes back.

python make_model.py --work work --pack lent     # here: texts, targets and the teacher, under 64 MiB
python lend.py lent --minutes 9                  # there, again and again until it says that it is done
python make_model.py --work work --take lent     # here: from the weights in lent/results on
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from colbert_teacher import load_teacher
from data import read_examples
from dev_log import first_of_each
from measure import shortened
from model import ColbertModel, model_of
from parts import joined, split
from passages import read_passages
from stages import FINAL, STAGES, Begin, Lessons, both_stages, save
from starts import STARTS
from tokens import LAYOUT, ColbertTokenizer
from torch import Tensor

MOST_BYTES = 64 << 20
TEACHER = ("onnx/model_int8.onnx", "1_Dense/model.safetensors")
RESULTS, RESULT = "results", "weights.pt"
WORDS = "words.weight"


def pack(folder: Path, begin: Begin, lessons: Lessons, teacher: Path, tokenizer: Path) -> int:
    """Write where a run begins, and all that it reads; return the bytes.

    Raises:
        ValueError: If it is more than 64 MiB, the start needs more than the teacher's weights, or the folder is there.
    """
    if begin.start == "minilm":
        raise ValueError(
            "--pack carries the teacher's weights, and no others: choose another --start than minilm"
        )
    if folder.exists():
        raise ValueError(f"--pack {folder} is there already: name a folder that is not, or delete it")
    for name in TEACHER:
        place = folder / "teacher" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(teacher / name, place)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    write_lines(folder / "passages.jsonl.gz", [[made.text, made.query] for made in lessons.passages])
    write_lines(folder / "examples.jsonl.gz", list(map(asdict, lessons.examples)))
    few = [shortened(made) for made in first_of_each(lessons.dev)]
    write_lines(folder / "dev.jsonl.gz", list(map(asdict, few)))
    np.save(folder / "target.npy", lessons.target.numpy())
    (folder / "begin.json").write_text(json.dumps(asdict(begin)) + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise ValueError(
            f"{folder} has {size:,} bytes, expected at most {MOST_BYTES:,}: train on fewer shards"
        )
    return size


def write_lines(place: Path, rows: list[object]) -> None:
    """Write one JSON value a line."""
    with gzip.open(place, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def unpack(folder: Path) -> Lessons:
    """Read what ``pack`` wrote."""
    return Lessons(
        read_passages(folder / "passages.jsonl.gz"),
        read_examples(folder / "examples.jsonl.gz"),
        torch.from_numpy(np.load(folder / "target.npy")),
        read_examples(folder / "dev.jsonl.gz"),
    )


def packed_begin(folder: Path) -> Begin:
    """Return where the run of a packed folder begins.

    Raises:
        ValueError: If the folder does not say.
    """
    place = folder / "begin.json"
    if not place.is_file():
        raise ValueError(f"{folder} has no begin.json: name a folder that make_model.py --pack wrote")
    return Begin(**json.loads(place.read_text(encoding="utf-8")))


def train(folder: Path, stop_at: float | None) -> None:
    """Run or resume both stages in a packed folder, and write their weights in parts.

    Raises:
        SystemExit: At the first checkpoint after ``stop_at``.
    """
    begin = packed_begin(folder)
    tokenizer = ColbertTokenizer(folder / "tokenizer.json", LAYOUT)
    teacher, work = load_teacher(folder / "teacher"), folder / "work"
    models = both_stages(begin, teacher, folder, tokenizer, unpack(folder), work, stop_at)
    weights = {name: without_words(model) for name, model in zip(STAGES, models, strict=True)}
    torch.save(weights, work / RESULT)
    written = split(work / RESULT, folder / RESULTS)
    for name in STAGES:
        shutil.copyfile(work / name / "log.jsonl", folder / RESULTS / f"{name}.jsonl")
    print(f"done: {len(written)} files in {folder / RESULTS}, besides the logs")


def without_words(model: ColbertModel) -> dict[str, Tensor]:
    """Return a student's weights in float16 but the vocabulary, which nobody trains."""
    return {name: value.half() for name, value in model.state_dict().items() if name != WORDS}


def take(folder: Path, stage: Path, teacher: ColbertModel, begin: Begin) -> None:
    """Put the weights that ``train`` wrote where the stages leave theirs, with the teacher's vocabulary as it ships.

    Raises:
        ValueError: If the folder is of a run that began elsewhere than ``begin``, a log is missing, or a part is missing or
            damaged; then nothing is written.
    """
    if packed_begin(folder) != begin:
        raise ValueError(
            f"{folder} was packed for {packed_begin(folder)}, and this run is {begin}: give the options that it was packed with"
        )
    logs = {name: folder / RESULTS / f"{name}.jsonl" for name in STAGES}
    if missing := [str(log) for log in logs.values() if not log.is_file()]:
        raise ValueError(f"{' and '.join(missing)} is missing: fetch all files of {folder / RESULTS}")
    weights = torch.load(io.BytesIO(joined(folder / RESULTS, RESULT)), weights_only=True)
    for name in STAGES:
        state = {part: value.float() for part, value in weights[name].items()}
        whole = model_of(state | {WORDS: teacher.state_dict()[WORDS]})
        save(STARTS[begin.start].with_words(whole), stage / name / FINAL)
        shutil.copyfile(logs[name], stage / name / "log.jsonl")


def main() -> None:
    """Read the command line and train."""
    started_at = time.time()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="what make_model.py --pack wrote")
    parser.add_argument("--minutes", type=float, help="end at the first checkpoint after so many; run again")
    options = parser.parse_args()
    try:
        packed_begin(options.folder)
    except ValueError as error:
        parser.error(str(error))
    torch.set_num_threads(1)  # work is shared among Python threads, each on one core
    train(options.folder, None if options.minutes is None else started_at + 60 * options.minutes)


if __name__ == "__main__":
    main()
