"""The choice between the ends of both training stages, what lies between them and what lies beyond, on development queries alone."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import torch
from data import Example
from encode import OnnxEncoder
from export import export
from kept import digest, once
from measure import dev_scores
from model import ColbertModel
from tokens import ColbertTokenizer

SHARES = (0.0, 0.5, 1.0, 1.5)
"""Of the way from the end of row distillation to that of ranking distillation; 2 gained 0.1 here and lost 0.2 on unseen kinds."""


def between(start: ColbertModel, end: ColbertModel, share: float) -> ColbertModel:
    """Mix two models' weights: an average keeps more of the start's breadth (WiSE-FT, arXiv 2109.01903).

    A share above 1 goes on in the direction that was trained (ExPO, arXiv 2404.16792).
    """
    mixed = copy.deepcopy(end)
    first, last = start.state_dict(), end.state_dict()
    mixed.load_state_dict({name: torch.lerp(first[name], last[name], share) for name in last})
    return mixed.eval()


def best_average(
    start: ColbertModel,
    end: ColbertModel,
    tokenizer: ColbertTokenizer,
    rows: list[list[int]],
    dev: list[Example],
    work: Path,
    threads: int,
    *,
    six_bit_words: bool,
) -> tuple[ColbertModel, dict[str, dict[str, float]]]:
    """Measure each share of the second stage as it would ship (INT8); return the best model and the table by share.

    The work folder keeps what the same graph was measured to have on the same queries.
    """
    table: dict[str, dict[str, float]] = {}
    made = [[one.source, one.query, *one.documents, *one.relevant] for one in dev]
    for share in SHARES:
        folder = work / f"share{share}"
        folder.mkdir(exist_ok=True)
        _, small = export(between(start, end, share), rows, folder, six_bit_words=six_bit_words)
        encoder = OnnxEncoder(small, tokenizer, threads)
        key = f"share {share} {digest(made, small, str(tokenizer.layout))}"
        measure = partial(dev_scores, encoder, dev, tokenizer.layout.document_length)
        table[str(share)] = once(work / "selection.json", key, measure)
    best = max(SHARES, key=lambda share: table[str(share)]["mean"])
    return between(start, end, best), table
