"""Row distillation: the student learns the teacher's token embeddings of unlabelled passages, row by row."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from model import ColbertModel
from passages import Passage
from row_loss import part_of, row_loss
from rows import Shard, embed_all, like_lengths, padded, teacher_shard
from tokens import ColbertTokenizer
from trainer import PartLoss, Schedule, Score, Trainer

FIT_PASSAGES = 256
TURN = Path("rows", "turn.npy")
SCHEDULE = Schedule(learning_rate=1.5e-4, head_learning_rate=3e-4, warmup=0.03)


@dataclass(frozen=True, slots=True)
class RowRecipe:
    """Every number of the run; on a GPU one part holds more tokens and there is one a step."""

    shards: int = 16
    first_shard: int = 0
    epochs: int = 1
    part_tokens: int = 2048
    parts: int = 2
    score_every: int = 4
    seed: int = 0

    @property
    def visits(self) -> int:
        """Count the visits of shards."""
        return self.shards * self.epochs


def leading_turn(rows: np.ndarray) -> np.ndarray:
    """Return the rotation after which the first dimensions carry most of ``rows``. *Shape:* ``(dim, dim)``."""
    _, vectors = np.linalg.eigh(rows.T @ rows)
    return vectors[:, ::-1].T


def matching_turn(rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the rotation of ``rows`` that comes nearest to ``wanted`` (orthogonal Procrustes). *Shape:* ``(dim, dim)``."""
    left, _, right = np.linalg.svd(wanted.T @ rows)
    turn: np.ndarray = left @ right
    return turn


def turn_teacher(
    teacher: ColbertModel,
    student: ColbertModel | None,
    passages: Sequence[Passage],
    tokenizer: ColbertTokenizer,
    recipe: RowRecipe,
    work: Path,
) -> None:
    """Turn the teacher's space towards a trained student's, or so that few dimensions carry most; products stay.

    The turn lies beside the cached rows, which are of no use without it.
    """
    place = work / TURN
    if not place.exists():
        first = [made.text for made in passages[:FIT_PASSAGES]]
        sample = [np.array(ids) for ids in tokenizer.documents(first)]
        rows = np.concatenate(embed_all(teacher, sample, tokenizer.mask, recipe.parts)).astype(np.float64)
        if student is None:
            turn = leading_turn(rows)
        else:
            wanted = np.concatenate(embed_all(student, sample, tokenizer.mask, recipe.parts))
            turn = matching_turn(rows, wanted.astype(np.float64))
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_suffix(".part.npy")
        np.save(partial, turn.astype(np.float32))
        partial.replace(place)
    stored = torch.from_numpy(np.load(place)).to(teacher.head.weight.device)
    teacher.head.weight.copy_(stored @ teacher.head.weight)
    teacher.head.bias.copy_(stored @ teacher.head.bias)


@torch.no_grad()
def least_squares_head(student: ColbertModel, shard: Shard, mask_token: int) -> None:
    """Start the student's projection as the best linear map from its states to the teacher's rows."""
    device, dim = student.head.weight.device, student.head.in_features + 1
    gram, cross = np.zeros((dim, dim)), np.zeros((dim, student.head.out_features))
    for text in shard.documents[:FIT_PASSAGES] + shard.queries[:FIT_PASSAGES]:
        ids, attended = padded([text.ids], mask_token)
        states = student.states(ids.to(device), attended.to(device))[0].double().cpu().numpy()
        states = np.concatenate([states, np.ones((len(states), 1))], axis=1)
        gram += states.T @ states
        cross += states.T @ text.target.astype(np.float64)
    solved = torch.tensor(np.linalg.solve(gram + np.eye(dim) * 1e-3 * gram.trace() / dim, cross))
    student.head.weight.copy_(solved[:-1].T)
    student.head.bias.copy_(solved[-1])


def visit(trainer: Trainer, shard: Shard, tokenizer: ColbertTokenizer, recipe: RowRecipe) -> None:
    """Take every step of one shard and save where we are."""

    def part(chosen: list[int]) -> PartLoss:
        documents = part_of([shard.documents[i] for i in chosen], tokenizer, documents=True)
        queries = part_of([shard.queries[i] for i in chosen], tokenizer, documents=False)
        return lambda: row_loss(trainer.student, queries.to(trainer.device), documents.to(trainer.device))

    batches = like_lengths([len(text.ids) for text in shard.documents], recipe.part_tokens)
    random.Random(f"{recipe.seed} {trainer.position}").shuffle(batches)
    count = recipe.parts
    groups = [batches[i : i + count] for i in range(0, len(batches) - count + 1, count)]
    for number, group in enumerate(groups):
        progress = (trainer.position + number / len(groups)) / recipe.visits
        trainer.step([part(chosen) for chosen in group], progress)
    position = trainer.position + 1
    last = position == recipe.visits
    trainer.save(position, scored=position % recipe.score_every == 0 or last, last=last)


def distilled(
    start: ColbertModel,
    teacher: ColbertModel,
    tokenizer: ColbertTokenizer,
    passages: Sequence[Passage],
    work: Path,
    recipe: RowRecipe,
    stop_at: float | None = None,
    score: Score | None = None,
    *,
    fitted: bool = False,
) -> ColbertModel:
    """Run or resume the distillation and return the student; a start that is ``fitted`` keeps its projection."""
    student = copy.deepcopy(start)

    def shard_of(number: int) -> Shard:
        place = recipe.first_shard + number
        return teacher_shard(place, passages, teacher, tokenizer, work / "rows", recipe.parts)

    if not fitted:
        least_squares_head(student, shard_of(0), tokenizer.mask)
    trainer = Trainer(student.train(), SCHEDULE, work / "distil", recipe.parts, stop_at=stop_at, score=score)
    trainer.tell(recipe.visits, "visits of shards")
    while trainer.position < recipe.visits:
        visit(trainer, shard_of(trainer.position % recipe.shards), tokenizer, recipe)
        trainer.tell(recipe.visits, "visits of shards")
    return student.eval()
