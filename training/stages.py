"""Both training stages, one after the other: what they read, where they start, and the weights that each ends with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from data import Example
from dev_log import DevLog
from distil import TURN, RowRecipe, distilled, turn_teacher
from model import ColbertModel, model_of
from passages import Passage, fitting_rows
from rank_distil import RankRecipe, rank_distilled
from rows import SHARD_PASSAGES, settle_precision
from shipped import SHIPPED, load_shipped
from starts import STARTS
from tokens import ColbertTokenizer
from torch import Tensor

STAGES, FINAL = ("distil", "rank"), "final.pt"
"""Folders of row and of ranking distillation, and the weights that each ends with."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """All that both stages read.

    Attributes:
        passages: For row distillation.
        examples: The queries of ranking distillation, with their candidates.
        target: What is aimed at over the candidates. *Shape:* ``(examples, 8)``
        dev: Development queries, for the log.
    """

    passages: Sequence[Passage]
    examples: list[Example]
    target: Tensor
    dev: list[Example]


@dataclass(frozen=True, slots=True)
class Begin:
    """Where a run begins.

    Attributes:
        start: A name of ``starts.py``.
        go_on: Begin with the shipped model; of the start only the vocabulary is taken.
        first_shard: The first passages that are read, in 2048s.
    """

    start: str
    go_on: bool = False
    first_shard: int = 0

    @property
    def passages(self) -> int:
        """Count the passages that the run needs, from the first of all."""
        return (self.first_shard + RowRecipe().shards) * SHARD_PASSAGES


def device() -> str:
    """Name the machine's fastest device."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def stored(place: Path, make: Callable[[], ColbertModel]) -> ColbertModel:
    """Return the weights that lie in ``place``, or make them and put them there."""
    if not place.exists():
        save(make(), place)
    return load(place)


def load(place: Path) -> ColbertModel:
    """Read weights, on the CPU."""
    return model_of(torch.load(place, weights_only=True, map_location="cpu")).eval()


def save(model: ColbertModel, place: Path) -> None:
    """Write weights in one move."""
    place.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), place.with_suffix(".part"))
    place.with_suffix(".part").rename(place)


def student_of(
    begin: Begin,
    teacher: ColbertModel,
    source: Path,
    passages: Sequence[Passage],
    tokenizer: ColbertTokenizer,
    folder: Path,
) -> ColbertModel:
    """Return the weights to start from; fitting them takes minutes, once."""

    def fitted() -> ColbertModel:
        print(f"fitting the start {begin.start!r}: minutes, once", flush=True)
        kind = STARTS[begin.start]
        return kind.with_words(kind.load(teacher, source, fitting_rows(passages, tokenizer)))

    start = stored(folder / "start.pt", fitted)
    return load_shipped(SHIPPED, start.words.weight.detach()) if begin.go_on else start


def both_stages(
    begin: Begin,
    teacher: ColbertModel,
    source: Path,
    tokenizer: ColbertTokenizer,
    lessons: Lessons,
    folder: Path,
    stop_at: float | None = None,
) -> tuple[ColbertModel, ColbertModel]:
    """Run or resume both stages in ``folder``; return the ends of row and of ranking distillation, on the CPU.

    ``source`` has the weights of MiniLM, for a start that reads them.

    Raises:
        TimeIsOver: At the first checkpoint after which there is no time for another before ``stop_at``, in seconds since the epoch.
    """
    row_end, ranking_end = (folder / name / FINAL for name in STAGES)
    if row_end.exists() and ranking_end.exists():
        return load(row_end), load(ranking_end)
    recipe, ranking = replace(RowRecipe(), first_shard=begin.first_shard), RankRecipe()
    if device() != "cpu":
        recipe = replace(recipe, parts=1, part_tokens=8192)
    settle_precision(folder)
    start = None
    if not row_end.exists() or (begin.go_on and not (folder / TURN).exists()):
        start = student_of(begin, teacher, source, lessons.passages, tokenizer, folder).to(device())
    teacher.to(device())
    turn_teacher(teacher, start if begin.go_on else None, lessons.passages, tokenizer, recipe, folder)
    score = DevLog(lessons.dev, tokenizer, recipe.parts)

    def row_stage() -> ColbertModel:
        passages, fitted = lessons.passages, begin.go_on
        return distilled(start, teacher, tokenizer, passages, folder, recipe, stop_at, score, fitted=fitted)

    rows = stored(row_end, row_stage)

    def ranking_stage() -> ColbertModel:
        student, examples, target = rows.to(device()), lessons.examples, lessons.target
        return rank_distilled(student, teacher, tokenizer, examples, target, folder, ranking, stop_at, score)

    ranked = stored(ranking_end, ranking_stage)
    return rows.cpu(), ranked
