"""Ranking distillation: over a query's candidates the student learns the order of a cross-encoder and of known pairs."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from data import Example
from model import ColbertModel
from rank_loss import Ranking, rank_loss
from row_loss import part_of
from rows import Rows, embed_all, like_lengths
from teacher import teacher_scores
from tokens import ColbertTokenizer
from torch import Tensor
from torch.nn import functional
from trainer import PartLoss, Schedule, Score, Trainer

START_SCALE = 2.0  # logarithm: the rows lie so close together that MaxSim differs by tenths
SCHEDULE = Schedule(learning_rate=5e-5, head_learning_rate=1e-4, warmup=0.05)


@dataclass(frozen=True, slots=True)
class RankRecipe:
    """Every number of the run."""

    examples: int = 1600
    queries_per_part: int = 4
    parts: int = 2
    part_tokens: int = 2048
    teacher_temperature: float = 2.0
    label_share: float = 0.5
    save_every: int = 25
    score_every: int = 50
    seed: int = 0

    @property
    def steps(self) -> int:
        """Count the steps of one pass."""
        return self.examples // (self.queries_per_part * self.parts)


def targets(examples: list[Example], scores: np.ndarray, recipe: RankRecipe) -> Tensor:
    """Mix the teacher's distribution with the known relevant document, where one is known. *Shape:* ``(examples, 8)``."""
    mixed = functional.softmax(torch.tensor(scores) / recipe.teacher_temperature, dim=1)
    for row, made in zip(mixed, examples, strict=True):
        if made.relevant:
            row.mul_(1 - recipe.label_share)
            row[made.relevant] += recipe.label_share / len(made.relevant)
    return mixed


def ranking_lessons(
    examples: list[Example], cross_encoder: Path, work: Path, recipe: RankRecipe
) -> tuple[list[Example], Tensor]:
    """Draw the queries of a run; return them and what is aimed at over their candidates, which takes minutes the first time."""
    chosen = random.Random(recipe.seed).sample(range(len(examples)), recipe.examples)
    scores = teacher_scores(examples, chosen, cross_encoder, work)
    picked = [examples[i] for i in chosen]
    return picked, targets(picked, scores[chosen], recipe)


def ranking_of(
    examples: list[Example], target: Tensor, rows: dict[str, Rows], tokenizer: ColbertTokenizer, tokens: int
) -> Ranking:
    """Put a few examples into the form that the loss reads; documents of like length share a run."""
    queries = part_of([rows[made.query] for made in examples], tokenizer, documents=False)
    texts = [rows[text] for made in examples for text in made.documents]
    places = like_lengths([len(text.ids) for text in texts], tokens)
    documents = [part_of([texts[i] for i in chosen], tokenizer, documents=True) for chosen in places]
    return Ranking(queries, documents, places, target)


def embedded(
    examples: list[Example], teacher: ColbertModel, tokenizer: ColbertTokenizer, workers: int
) -> dict[str, Rows]:
    """Return the ColBERT teacher's rows for every text of a few steps."""
    documents = sorted({text for made in examples for text in made.documents})
    queries = sorted({made.query for made in examples} - set(documents))
    ids = [np.array(row) for row in tokenizer.documents(documents) + tokenizer.queries(queries)]
    targets = embed_all(teacher, ids, tokenizer.mask, workers)
    return dict(zip(documents + queries, map(Rows, ids, targets), strict=True))


def rank_distilled(
    start: ColbertModel,
    teacher: ColbertModel,
    tokenizer: ColbertTokenizer,
    examples: list[Example],
    target: Tensor,
    work: Path,
    recipe: RankRecipe,
    stop_at: float | None = None,
    score: Score | None = None,
) -> ColbertModel:
    """Run or resume the stage over examples and what is aimed at, and return the student."""
    student = copy.deepcopy(start).train()
    scale = torch.nn.Parameter(torch.tensor(START_SCALE, device=student.head.weight.device))
    trainer = Trainer(
        student, SCHEDULE, work / "rank", recipe.parts, extra={"scale": scale}, stop_at=stop_at, score=score
    )
    size = recipe.queries_per_part

    def part(first: int, rows: dict[str, Rows]) -> PartLoss:
        made = slice(first, first + size)
        batch = ranking_of(examples[made], target[made], rows, tokenizer, recipe.part_tokens)
        return lambda: rank_loss(trainer.student, scale, batch.to(trainer.device))

    trainer.tell(recipe.steps, "steps")
    for done in range(trainer.position, recipe.steps):
        first = done * size * recipe.parts
        rows = embedded(examples[first : first + size * recipe.parts], teacher, tokenizer, recipe.parts)
        parts = [part(first + number * size, rows) for number in range(recipe.parts)]
        trainer.step(parts, done / recipe.steps)
        last = done + 1 == recipe.steps
        if (done + 1) % recipe.save_every == 0 or last:
            trainer.save(done + 1, scored=(done + 1) % recipe.score_every == 0 or last, last=last)
            trainer.tell(recipe.steps, "steps")
    return trainer.student.eval()
