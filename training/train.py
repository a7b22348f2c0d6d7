"""Distillation: the student's MaxSim over eight candidates learns to rank as the cross-encoder and the known pairs do."""

from __future__ import annotations

import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from data import Example
from loss import Batch, parts, step_loss
from model import ColbertModel
from teacher import teacher_scores
from tokens import ColbertTokenizer
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every number of the training run."""

    examples: int = 5824
    queries_per_step: int = 8
    steps: int = 460
    warmup_steps: int = 30
    decay_steps: int = 140
    frozen_layers: int = 2
    learning_rate: float = 5e-5
    head_learning_rate: float = 2e-4
    document_tokens: int = 152
    long_document_tokens: int = 300
    long_every: int = 8
    query_tokens: int = 48
    teacher_temperature: float = 2.0
    label_share: float = 0.5
    workers: int = 2
    save_every: int = 20
    seed: int = 0


def targets(examples: list[Example], scores: np.ndarray, recipe: Recipe) -> Tensor:
    """Mix the teacher's distribution with the known relevant document, where one is known. *Shape:* ``(examples, 8)``."""
    mixed = functional.softmax(torch.tensor(scores) / recipe.teacher_temperature, dim=1)
    for row, made in zip(mixed, examples, strict=True):
        if made.relevant:
            row.mul_(1 - recipe.label_share)
            row[made.relevant] += recipe.label_share / len(made.relevant)
    return mixed


def make_batch(
    step: int,
    order: list[int],
    examples: list[Example],
    target: Tensor,
    tokenizer: ColbertTokenizer,
    recipe: Recipe,
) -> Batch:
    """Tokenise the examples of one step; every eighth step reads long documents."""
    size = recipe.queries_per_step
    chosen = order[step * size : (step + 1) * size]
    length = recipe.long_document_tokens if step % recipe.long_every == 0 else recipe.document_tokens
    documents = tokenizer.documents([text for i in chosen for text in examples[i].documents], length)
    queries = tokenizer.queries([examples[i].query for i in chosen])
    return Batch([row[: recipe.query_tokens] for row in queries], documents, target[chosen])


def rate(step: int, recipe: Recipe) -> float:
    """Return the share of the full learning rate: a short warm-up, a plateau and a linear end."""
    return min(1.0, (step + 1) / recipe.warmup_steps, (recipe.steps - step) / recipe.decay_steps)


def optimizer_for(model: ColbertModel, scale: Tensor, recipe: Recipe) -> torch.optim.AdamW:
    """Train upper layers and head; the vocabulary and the lowest layers stay, so that rare words keep what they meant."""
    for frozen in (model.words, model.positions, model.norm, *model.layers[: recipe.frozen_layers]):
        frozen.requires_grad_(requires_grad=False)
    groups = [
        {"params": list(model.layers[recipe.frozen_layers :].parameters()), "base": recipe.learning_rate},
        {"params": list(model.head.parameters()), "base": recipe.head_learning_rate},
        {"params": [scale], "base": 0.01},
    ]
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=0.01)


def accumulate(
    model: ColbertModel,
    scale: Tensor,
    batch: Batch,
    tokenizer: ColbertTokenizer,
    recipe: Recipe,
    pool: ThreadPoolExecutor,
) -> float:
    """Set the gradients of one step; each Python thread takes a share on one core, which bears a busy machine far better."""
    parameters = [p for p in [*model.parameters(), scale] if p.requires_grad]

    def work(part: Batch) -> tuple[float, tuple[Tensor, ...]]:
        loss = step_loss(model, scale, part, tokenizer)
        return loss.item(), torch.autograd.grad(loss, parameters)

    results = list(pool.map(work, parts(batch, recipe.workers)))
    for position, parameter in enumerate(parameters):
        parameter.grad = torch.stack([gradients[position] for _, gradients in results]).mean(dim=0)
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    return sum(loss for loss, _ in results) / len(results)


def train(
    model: ColbertModel,
    tokenizer: ColbertTokenizer,
    examples: list[Example],
    target: Tensor,
    folder: Path,
    recipe: Recipe,
) -> ColbertModel:
    """Run or resume the training; checkpoints and the log of losses lie in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    student, scale = copy.deepcopy(model).train(), torch.nn.Parameter(torch.tensor(-0.5))
    optimizer = optimizer_for(student, scale, recipe)
    order = step_order(recipe)
    first, checkpoint = 0, folder / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        student.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        scale.data.copy_(saved["scale"])
        first = saved["step"]
    started = time.time()
    with ThreadPoolExecutor(recipe.workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for step in range(first, recipe.steps):
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * rate(step, recipe)
            batch = make_batch(step, order, examples, target, tokenizer, recipe)
            loss = accumulate(student, scale, batch, tokenizer, recipe, pool)
            optimizer.step()
            entry = {
                "step": step,
                "loss": loss,
                "scale": scale.item(),
                "seconds": round(time.time() - started),
            }
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(entry) + "\n")
            if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
                state = {"model": student.state_dict(), "optimizer": optimizer.state_dict()}
                torch.save(state | {"scale": scale.data, "step": step + 1}, checkpoint.with_suffix(".part"))
                checkpoint.with_suffix(".part").rename(checkpoint)
    return student.eval()


def between(start: ColbertModel, end: ColbertModel, share: float) -> ColbertModel:
    """Average two models' weights, which keeps more of the start's breadth (WiSE-FT, arXiv 2109.01903)."""
    mixed = copy.deepcopy(end)
    first, last = start.state_dict(), end.state_dict()
    mixed.load_state_dict({name: torch.lerp(first[name], last[name], share) for name in last})
    return mixed.eval()


def step_order(recipe: Recipe) -> list[int]:
    """Return the examples in the order in which the steps read them."""
    order = torch.randperm(recipe.examples, generator=torch.Generator().manual_seed(recipe.seed))
    return [int(position) for position in order[: recipe.steps * recipe.queries_per_step]]


def trained_model(
    start: ColbertModel, tokenizer: ColbertTokenizer, examples: list[Example], teacher: Path, work: Path
) -> ColbertModel:
    """Let the teacher score the examples, then train on them."""
    recipe = Recipe()
    examples = examples[: recipe.examples]
    scores = teacher_scores(examples, step_order(recipe), teacher, work / "teacher.npy")
    return train(start, tokenizer, examples, targets(examples, scores, recipe), work / "run", recipe)
