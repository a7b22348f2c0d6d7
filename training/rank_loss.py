"""The loss of ranking distillation: MaxSim over a query's candidates against distributions, rows held to the teacher's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from model import ColbertModel
from row_loss import Part, similarities
from rows import autocast
from torch import Tensor
from torch.nn import functional

ROW_WEIGHT = 2.0
COLBERT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Ranking:
    """Queries with equally many candidates each; candidates come in parts of like length."""

    queries: Part
    documents: list[Part]
    places: list[list[int]]
    target: Tensor

    def to(self, device: str) -> Ranking:
        """Move to a device."""
        parts = [part.to(device) for part in self.documents]
        return Ranking(self.queries.to(device), parts, self.places, self.target.to(device))


def maxsim(query_rows: Tensor, owner: Tensor, queries: int, documents: Tensor, scored: Tensor) -> Tensor:
    """Return every query's score of every document. *Shape:* ``(queries, documents)``."""
    best = similarities(query_rows, documents).masked_fill(~scored, -2.0).amax(dim=-1)
    return best.new_zeros(queries, documents.shape[0]).index_add(0, owner, best)


def cosine_loss(rows: Tensor, target: Tensor, scored: Tensor) -> Tensor:
    """Return 1 - the mean cosine of the scored rows."""
    return 1 - (rows * target).sum(dim=-1)[scored].mean()


def rank_loss(model: ColbertModel, scale: Tensor, batch: Ranking) -> tuple[Tensor, dict[str, float]]:
    """Return the cross-entropy of the candidates' distribution plus the distance of all rows to the teacher's.

    The distribution aimed at is ``batch.target``, mixed with what the teacher's rows make of the same candidates at the
    student's own scale: a student that scores as the teacher does is not pulled by that half.
    """
    queries, width = batch.target.shape
    counts = batch.queries.scored.sum(dim=1)
    owner = torch.arange(queries, device=counts.device).repeat_interleave(counts)
    with autocast(counts.device.type):
        query_rows = model(batch.queries.ids, batch.queries.attended).float()
    rows = cosine_loss(query_rows, batch.queries.target, batch.queries.scored)
    flat, aim = query_rows[batch.queries.scored], batch.queries.target[batch.queries.scored]
    found, wanted = (flat.new_zeros(queries, queries * width) for _ in range(2))
    for part, places in zip(batch.documents, batch.places, strict=True):
        with autocast(counts.device.type):
            documents = model(part.ids, part.attended).float()
        rows = rows + cosine_loss(documents, part.target, part.scored) * (len(places) / (queries * width))
        found[:, places] = maxsim(flat, owner, queries, documents, part.scored)
        wanted[:, places] = maxsim(aim, owner, queries, part.target, part.scored)
    own, teachers = (own_candidates(scores, width) * scale.exp() for scores in (found, wanted))
    target = torch.lerp(batch.target, functional.softmax(teachers.detach(), dim=1), COLBERT_SHARE)
    ranking = -(target * functional.log_softmax(own, dim=1)).sum(dim=1).mean()
    return ranking + ROW_WEIGHT * rows, {"ranking": ranking.item(), "rows": rows.item()}


def own_candidates(scores: Tensor, width: int) -> Tensor:
    """Return each query's scores of its own candidates out of those of everybody's. *Shape:* ``(queries, width)``."""
    queries = torch.arange(len(scores), device=scores.device)
    return scores.view(len(scores), len(scores), width)[queries, queries]
