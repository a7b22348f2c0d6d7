"""The loss of row distillation: rows, similarities and MaxSim of the student against the teacher's, at several dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from model import ColbertModel
from rows import Rows, autocast, padded
from tokens import ColbertTokenizer
from torch import Tensor
from torch.nn import functional

DIMS = {96: 1.0, 64: 0.4, 48: 0.2}
SIMILARITY_WEIGHT = 20.0


@dataclass(frozen=True, slots=True)
class Part:
    """What one core reads in a step: padded ids, what is attended, the teacher's rows and which rows are scored."""

    ids: Tensor
    attended: Tensor
    target: Tensor
    scored: Tensor

    def to(self, device: str) -> Part:
        """Move to a device."""
        return Part(*(value.to(device) for value in (self.ids, self.attended, self.target, self.scored)))


def part_of(texts: Sequence[Rows], tokenizer: ColbertTokenizer, *, documents: bool) -> Part:
    """Pad texts of like length; a document's punctuation is not scored, a query's rows all are."""
    ids, attended = padded([text.ids for text in texts], tokenizer.mask)
    target = torch.zeros(*ids.shape, texts[0].target.shape[1])
    scored = torch.zeros(*ids.shape, dtype=torch.bool)
    for position, text in enumerate(texts):
        target[position, : len(text.ids)] = torch.from_numpy(text.target.astype(np.float32))
        kept = tokenizer.kept(list(text.ids)) if documents else np.ones(len(text.ids), dtype=bool)
        scored[position, : len(text.ids)] = torch.from_numpy(kept)
    return Part(ids, attended, functional.normalize(target, dim=-1), scored)


def similarities(query_rows: Tensor, documents: Tensor) -> Tensor:
    """Return every scored query row against every document row. *Shape:* ``(query_rows, documents, tokens)``."""
    flat = query_rows @ documents.reshape(-1, documents.shape[-1]).T
    return flat.view(len(query_rows), *documents.shape[:2])


def similarity_loss(found: Tensor, wanted: Tensor, scored: Tensor) -> Tensor:
    """Return the squared error over all scored pairs plus that of each query row's best match in each document."""
    everywhere = ((found - wanted) ** 2 * scored).sum() / (scored.sum() * len(found))
    best, aim = (values.masked_fill(~scored, -2.0).amax(dim=-1) for values in (found, wanted))
    return everywhere + functional.mse_loss(best, aim)


def row_loss(model: ColbertModel, queries: Part, documents: Part) -> tuple[Tensor, dict[str, float]]:
    """Return the loss and its parts: 1 - cosine of document and query rows, and similarities at each dimension."""
    with autocast(queries.ids.device.type):
        query_rows = model(queries.ids, queries.attended).float()[queries.scored]
        document_rows = model(documents.ids, documents.attended).float()
    query_target = queries.target[queries.scored]
    document_cosine = (document_rows * documents.target).sum(dim=-1)[documents.scored].mean()
    query_cosine = (query_rows * query_target).sum(dim=-1).mean()
    wanted = similarities(query_target, documents.target)
    loss = (1 - document_cosine) + (1 - query_cosine)
    facts = {"document_cosine": document_cosine.item(), "query_cosine": query_cosine.item()}
    for dim, weight in DIMS.items():
        cut = [functional.normalize(rows[..., :dim], dim=-1) for rows in (query_rows, document_rows)]
        error = similarity_loss(similarities(*cut), wanted, documents.scored)
        loss = loss + weight * SIMILARITY_WEIGHT * error
        facts[f"error_{dim}"] = error.item()
    return loss, facts
