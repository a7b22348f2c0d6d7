"""The choice between the start, the end of training and their averages, on development queries alone."""

from __future__ import annotations

import json
from pathlib import Path

from data import Example
from encode import OnnxEncoder
from export import export
from measure import dev_scores
from model import ColbertModel
from tokens import ColbertTokenizer
from train import between

SHARES = (0.0, 0.5, 0.75, 1.0)


def best_average(
    start: ColbertModel,
    end: ColbertModel,
    tokenizer: ColbertTokenizer,
    rows: list[list[int]],
    dev: list[Example],
    work: Path,
    threads: int,
) -> tuple[ColbertModel, float, dict[str, dict[str, float]]]:
    """Measure each share of the training as it would ship (INT8) and return the best model, its share and the table."""
    cache = work / "selection.json"
    table: dict[str, dict[str, float]] = (
        json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
    )
    for share in SHARES:
        if str(share) not in table:
            folder = work / f"share{share}"
            folder.mkdir(exist_ok=True)
            _, small = export(between(start, end, share), rows, folder)
            table[str(share)] = dev_scores(OnnxEncoder(small, tokenizer, threads), dev)
            cache.write_text(json.dumps(table, indent=1), encoding="utf-8")
            print(f"share {share}: {table[str(share)]}", flush=True)
    best = max(SHARES, key=lambda share: table[str(share)]["mean"])
    return between(start, end, best), best, table
