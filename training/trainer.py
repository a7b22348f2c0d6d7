"""Gradient steps that every training stage shares: a part of the batch per core, a schedule, checkpoints, a log."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from memory import return_freed_memory
from model import ColbertModel
from torch import Tensor, nn

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"
STEPS_PER_RETURN = 5
"""Between two returns of freed memory: rarer ones let it grow by gigabytes, each costs a little."""
MARGIN = 1.2
"""How much longer than the last interval between two checkpoints the next may take: some score the student, too."""
Facts = dict[str, float]
PartLoss = Callable[[], tuple[Tensor, Facts]]
Score = Callable[[ColbertModel], Facts]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Learning rates and how they rise and fall over the share of the training that is done."""

    learning_rate: float
    head_learning_rate: float
    warmup: float
    last_rate: float = 0.02

    def share(self, progress: float) -> float:
        """Return the share of the full rate: a warm-up, then half a cosine."""
        if progress < self.warmup:
            return max(progress, 1e-4) / self.warmup
        falling = 0.5 + 0.5 * math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup))
        return self.last_rate + (1 - self.last_rate) * falling


class TimeIsOver(SystemExit):
    """Ends the program with status 75, "try again later" among Unix programs: another run goes on."""

    def __init__(self, said: str) -> None:
        super().__init__(75)
        self.said = said

    def __str__(self) -> str:
        return self.said


class Trainer:
    """Holds a student and its optimizer; ``position`` says how far the stage has come and outlives the process.

    All but the vocabulary is trained: its rare words would only drift. On a CPU each Python thread computes one part on one
    core, which waits once a step where two threads inside every operation would wait a thousand times.
    """

    def __init__(
        self,
        student: ColbertModel,
        schedule: Schedule,
        folder: Path,
        workers: int,
        extra: Mapping[str, nn.Parameter] | None = None,
        stop_at: float | None = None,
        score: Score | None = None,
    ) -> None:
        self.student, self.schedule, self.folder, self.score = student, schedule, folder, score
        self.device = next(student.parameters()).device.type
        self.extra = dict(extra or {})
        self.stop_at = stop_at
        student.words.requires_grad_(requires_grad=False)
        named = [(n, p) for n, p in student.named_parameters() if p.requires_grad]
        body = [value for name, value in named if not name.startswith("head")]
        head = [value for name, value in named if name.startswith("head")]
        groups = [
            {"params": body, "base": schedule.learning_rate},
            {"params": head, "base": schedule.head_learning_rate},
            {"params": list(self.extra.values()), "base": 0.01},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, weight_decay=0.01, fused=True)
        self.trained = [*body, *head, *self.extra.values()]
        self.pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
        self.position, self.steps, self.started = 0, 0, time.time()
        self.saved_at = self.started
        folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint = folder / CHECKPOINT
        if self.checkpoint.exists():
            self._resume()
        self.first_position = self.position

    def _resume(self) -> None:
        saved = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        self.student.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        for name, value in self.extra.items():
            value.data.copy_(saved["extra"][name])
        self.position = saved["position"]

    def _gradients(self, part: PartLoss) -> tuple[Facts, tuple[Tensor | None, ...]]:
        loss, facts = part()
        return facts | {"loss": loss.item()}, torch.autograd.grad(loss, self.trained, allow_unused=True)

    def step(self, parts: Sequence[PartLoss], progress: float) -> None:
        """Take one step down the mean of the parts' losses and log it."""
        results = list(self.pool.map(self._gradients, parts))
        for number, value in enumerate(self.trained):
            found = [g[number] for _, g in results if g[number] is not None]
            value.grad = torch.stack(found).sum(dim=0) / len(parts) if found else None
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * self.schedule.share(progress)
        self.optimizer.step()
        self.steps += 1
        if self.steps % STEPS_PER_RETURN == 0:
            return_freed_memory()
        facts = {name: sum(f[name] for f, _ in results) / len(results) for name in results[0][0]}
        self._log({"progress": progress} | facts)

    def _log(self, facts: Facts) -> None:
        rounded = {name: round(value, 5) for name, value in facts.items()}
        with (self.folder / LOG).open("a") as lines:
            lines.write(json.dumps(rounded | {"seconds": round(time.time() - self.started)}) + "\n")

    def save(self, position: int, *, scored: bool = False, last: bool = False) -> None:
        """Remember the position and write a checkpoint in one move; end the program where there is no time for another.

        ``scored`` asks for the student's score in the log; ``last`` tells that no step is left, and nothing to end for.

        Raises:
            TimeIsOver: If there is no time for another checkpoint, which takes as long as this one did, or a little longer.
        """
        if scored and self.score and (found := self.score(self.student)):
            self._log({"position": position} | found)
        self.position = position
        state = {
            "model": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "extra": {name: value.data for name, value in self.extra.items()},
            "position": position,
        }
        torch.save(state, self.checkpoint.with_suffix(".part"))
        self.checkpoint.with_suffix(".part").rename(self.checkpoint)
        now = time.time()
        taken, self.saved_at = now - self.saved_at, now
        if not last and self.stop_at is not None and now + MARGIN * taken > self.stop_at:
            over = TimeIsOver(f"time is over at {self.folder.name} {position}; run again to go on")
            print(over, file=sys.stderr, flush=True)
            raise over

    def tell(self, positions: int, unit: str) -> None:
        """Print how far this stage has come, and how long the rest takes if it goes on so."""
        done, spent = self.position - self.first_position, time.time() - self.started
        rest = f", some {spent / done * (positions - self.position) / 60:.0f} minutes left" if done else ""
        print(f"{self.folder.name}: {self.position} of {positions} {unit}{rest}", flush=True)
