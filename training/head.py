"""The first projection: principal components of token states, centred and partly whitened."""

from __future__ import annotations

import numpy as np
import torch
from model import ColbertModel

WHITENING = 0.25


@torch.no_grad()
def principal_head(model: ColbertModel, rows: list[list[int]], keep: list[np.ndarray]) -> None:
    """Set the head from the covariance of the scored rows' states; whitening was chosen on the development queries."""
    states = []
    for row, kept in zip(rows, keep, strict=True):
        ids = torch.tensor([row])
        states.append(model.states(ids, torch.ones_like(ids))[0][torch.tensor(kept)])
    flat = torch.cat(states).double()
    mean = flat.mean(dim=0)
    values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    dim = model.head.out_features
    order = torch.argsort(values, descending=True)[:dim]
    projection = (vectors[:, order] * values[order] ** -WHITENING).T
    projection = projection * torch.sign(projection.sum(dim=1, keepdim=True))
    model.head.weight.copy_(projection)
    model.head.bias.copy_(-projection @ mean)
