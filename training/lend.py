"""Both training stages on a machine that is lent for minutes and reaches nothing: what goes there, and what comes back.

python make_model.py --work work --pack lent     # here: texts, targets, the teacher and this code, under 64 MiB
PYTHONPATH=lent/code/src python lent/code/training/lend.py lent --minutes 9   # there, until it says that it is done
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
from tempfile import TemporaryDirectory

import numpy as np
import torch
from colbert_teacher import load_teacher
from data import read_examples
from dev_log import first_of_each
from distil import TURN
from measure import shortened
from memory import share_freed_memory
from model import ColbertModel, model_of
from parts import joined, split
from passages import read_passages
from preflight import COLBERT, TEACHERS
from shipped import SHIPPED
from stages import FINAL, STAGES, Begin, Lessons, both_stages, load, save
from starts import STARTS
from tokens import LAYOUT, ColbertTokenizer
from torch import Tensor
from trainer import CHECKPOINT, LOG

ROOT = Path(__file__).parent.parent
MOST_BYTES = 64 << 20
RESULTS, RESULT = "results", "weights.pt"
WORDS = "words.weight"


def pack(folder: Path, begin: Begin, lessons: Lessons, teacher: Path, tokenizer: Path) -> int:
    """Write where a run begins, and all that it reads; return the bytes.

    Raises:
        ValueError: If it is more than 64 MiB, the start needs more than the teacher's weights, or the folder is there.
    """
    if begin.start == "minilm" or begin.go_on:
        raise ValueError(
            "--pack carries the teacher's weights, and no others: choose another --start than minilm, and no --go-on"
        )
    if folder.exists():
        raise ValueError(f"--pack {folder} is there already: name a folder that is not, or delete it")
    with TemporaryDirectory(dir=folder.absolute().parent) as draft:
        size = _pack(Path(draft) / folder.name, begin, lessons, teacher, tokenizer)
        if size > MOST_BYTES:
            raise ValueError(
                f"{folder} would have {size:,} bytes, expected at most {MOST_BYTES:,}: train on fewer shards"
            )
        (Path(draft) / folder.name).rename(folder)
    return size


def _pack(folder: Path, begin: Begin, lessons: Lessons, teacher: Path, tokenizer: Path) -> int:
    for name in TEACHERS[COLBERT]:
        place = folder / "teacher" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(teacher / name, place)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    write_lines(folder / "passages.jsonl.gz", [[made.text, made.query] for made in lessons.passages])
    write_lines(folder / "examples.jsonl.gz", list(map(asdict, lessons.examples)))
    few = [shortened(made) for made in first_of_each(lessons.dev)]
    write_lines(folder / "dev.jsonl.gz", list(map(asdict, few)))
    np.save(folder / "target.npy", lessons.target.numpy())
    copy_code(folder / "code")
    (folder / "begin.json").write_text(json.dumps(asdict(begin)) + "\n", encoding="utf-8")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def copy_code(folder: Path) -> None:
    """Copy this folder's programs and the package without its model."""
    (folder / "training").mkdir(parents=True)
    for program in Path(__file__).parent.glob("*.py"):
        shutil.copyfile(program, folder / "training" / program.name)
    left_out = shutil.ignore_patterns("__pycache__", SHIPPED.name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=left_out)


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
    """Run or resume both stages in a packed folder, and write the weights of those that ended in parts.

    On a machine that has the results of another but not its checkpoints, the stages that ended there are not run again.

    Raises:
        TimeIsOver: At the first checkpoint after which there is no time for another before ``stop_at``.
    """
    begin, work = packed_begin(folder), folder / "work"
    tokenizer = ColbertTokenizer(folder / "tokenizer.json", LAYOUT)
    teacher = load_teacher(folder / "teacher")
    if (folder / RESULTS).exists() and not begun_in(work):
        take(folder, work, teacher, begin)
    try:
        both_stages(begin, teacher, folder, tokenizer, unpack(folder), work, stop_at)
    finally:
        if ended := write_results(work, folder / RESULTS):
            print(f"{' and '.join(ended)}: in {folder / RESULTS}", flush=True)
    print("done")


def begun_in(stage: Path) -> bool:
    """Tell whether a stage has trained, or ended, in a folder."""
    return any((stage / name / part).exists() for name in STAGES for part in (CHECKPOINT, FINAL))


def write_results(work: Path, results: Path) -> list[str]:
    """Write the weights of the stages that ended, in parts, their logs, and how the teacher was turned; return their names."""
    ended = [name for name in STAGES if (work / name / FINAL).exists()]
    if any(
        not (results / f"{name}.jsonl").exists() for name in ended
    ):  # what is there may be on its way already
        weights: dict[str, object] = {name: without_words(load(work / name / FINAL)) for name in ended}
        weights[TURN.stem] = torch.from_numpy(np.load(work / TURN))
        torch.save(weights, work / RESULT)
        split(work / RESULT, results)
        for name in ended:
            shutil.copyfile(work / name / LOG, results / f"{name}.jsonl")
    return ended


def without_words(model: ColbertModel) -> dict[str, Tensor]:
    """Return a student's weights in float16 but the vocabulary, which nobody trains."""
    return {name: value.half() for name, value in model.state_dict().items() if name != WORDS}


def take(folder: Path, stage: Path, teacher: ColbertModel, begin: Begin) -> list[str]:
    """Put the weights that ``train`` wrote where the stages leave theirs, with the teacher's vocabulary as it ships.

    Returns:
        The stages that had ended; what is missing of them is trained here.

    Raises:
        ValueError: If the folder is of a run that began elsewhere than ``begin``, a log is missing, a part is missing or
            damaged, or this stage has trained by itself; then nothing is written.
    """
    if packed_begin(folder) != begin:
        raise ValueError(
            f"{folder} was packed for {packed_begin(folder)}, and this run is {begin}: give the options that it was packed with"
        )
    if any((stage / name / CHECKPOINT).exists() for name in STAGES):
        raise ValueError(f"{stage} has a checkpoint of its own: go on without --take, or name another --work")
    if not (folder / RESULTS).is_dir():
        raise ValueError(f"{folder} has no {RESULTS}: run lend.py on it first, until a stage has ended")
    weights = torch.load(io.BytesIO(joined(folder / RESULTS, RESULT)), weights_only=True)
    if TURN.stem not in weights:
        raise ValueError(f"{folder / RESULTS} is of an earlier program, and lacks how the teacher was turned")
    ended = [name for name in STAGES if name in weights]
    logs = {name: folder / RESULTS / f"{name}.jsonl" for name in ended}
    if missing := [str(log) for log in logs.values() if not log.is_file()]:
        raise ValueError(f"{' and '.join(missing)} is missing: fetch all files of {folder / RESULTS}")
    (stage / TURN).parent.mkdir(parents=True, exist_ok=True)
    np.save(stage / TURN, weights[TURN.stem].numpy())
    for name in ended:
        state = {part: value.float() for part, value in weights[name].items()}
        whole = model_of(state | {WORDS: teacher.state_dict()[WORDS]})
        save(STARTS[begin.start].with_words(whole), stage / name / FINAL)
        shutil.copyfile(logs[name], stage / name / LOG)
    return ended


def main() -> None:
    """Read the command line and train."""
    started_at = time.time()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="what make_model.py --pack wrote")
    parser.add_argument("--minutes", type=float, help="end at a checkpoint before so many; run again")
    options = parser.parse_args()
    try:
        packed_begin(options.folder)
    except ValueError as error:
        parser.error(str(error))
    share_freed_memory()
    torch.set_num_threads(1)  # work is shared among Python threads, each on one core
    train(options.folder, None if options.minutes is None else started_at + 60 * options.minutes)


if __name__ == "__main__":
    main()
