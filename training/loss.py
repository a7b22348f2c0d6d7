"""The loss: MaxSim over a query's candidates, as a distribution, against the distribution to learn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from model import ColbertModel
from tokens import ColbertTokenizer
from torch import Tensor
from torch.nn import functional

BUCKET = 16


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids of one step: queries, their candidates in order, and the distribution to learn."""

    queries: list[list[int]]
    documents: list[list[int]]
    target: Tensor


def pad(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Pad ids with zeros; return ids and attention. *Shape:* ``(rows, tokens)`` each."""
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])


def encode_bucketed(model: ColbertModel, rows: list[list[int]]) -> Tensor:
    """Encode rows of like length together, because padding is most of a mixed batch. *Shape:* ``(rows, tokens, dim)``."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    length = max(map(len, rows))
    encoded: list[Tensor] = [torch.empty(0)] * len(rows)
    for start in range(0, len(order), BUCKET):
        chosen = order[start : start + BUCKET]
        ids, attention = pad([rows[i] for i in chosen])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            embeddings = model(ids, attention)
        padded = functional.pad(embeddings.float(), (0, 0, 0, length - ids.shape[1]))
        for i, part in zip(chosen, padded, strict=True):
            encoded[i] = part
    return torch.stack(encoded)


def step_loss(model: ColbertModel, scale: Tensor, batch: Batch, tokenizer: ColbertTokenizer) -> Tensor:
    """Return the cross-entropy between the target and the softmax of scaled MaxSim over each query's candidates."""
    query_ids, query_mask = pad(batch.queries)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        queries = model(query_ids, query_mask)
    documents = encode_bucketed(model, batch.documents)
    document_ids, document_mask = pad(batch.documents)
    kept = document_mask.bool() & ~torch.isin(document_ids, torch.tensor(tokenizer.skipped))
    count, width = batch.target.shape
    products = torch.einsum("qnd,qkld->qknl", queries, documents.reshape(count, width, *documents.shape[1:]))
    best = products.masked_fill(~kept.reshape(count, width, 1, -1), -2.0).amax(dim=-1)
    scores = (best * query_mask[:, None, :]).sum(dim=-1) * scale.exp()
    return -(batch.target * functional.log_softmax(scores, dim=1)).sum(dim=1).mean()


def parts(batch: Batch, count: int) -> list[Batch]:
    """Cut a batch into equal ones by query."""
    size, width = len(batch.queries) // count, batch.target.shape[1]
    cuts = [slice(i * size, (i + 1) * size) for i in range(count)]
    wide = [slice(cut.start * width, cut.stop * width) for cut in cuts]
    return [
        Batch(batch.queries[q], batch.documents[d], batch.target[q]) for q, d in zip(cuts, wide, strict=True)
    ]
