"""The student's start: the teacher without the layers that are missed least, found by leaving out one after another."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from colbert_teacher import TEACHER_LAYERS, load_teacher
from model import ColbertModel, Shape
from preflight import COLBERT
from row_loss import part_of
from rows import Rows, Shard, autocast, read_shard
from tokens import LAYOUT, ColbertTokenizer

KEPT_LAYERS = (0, 1, 6, 8, 9, 10, 11)
SAMPLE = 80


def pruned(teacher: ColbertModel, layers: Sequence[int] = KEPT_LAYERS) -> ColbertModel:
    """Return a student with the teacher's embeddings, projection and the ``layers`` named, in their order."""
    student = ColbertModel(teacher.head.out_features, [Shape()] * len(layers)).to(teacher.head.weight.device)
    state = {name: value for name, value in teacher.state_dict().items() if not name.startswith("layers.")}
    for place, layer in enumerate(layers):
        for name, value in teacher.layers[layer].state_dict().items():
            state[f"layers.{place}.{name}"] = value
    student.load_state_dict(state)
    return student


@torch.no_grad()
def mean_cosine(model: ColbertModel, texts: Sequence[Rows], tokenizer: ColbertTokenizer) -> float:
    """Return the mean cosine of a model's token embeddings to the rows that are stored with ``texts``."""
    total, count = 0.0, 0
    for text in texts:
        part = part_of([text], tokenizer, documents=False)
        with autocast("cpu"):
            rows = model(part.ids, part.attended).float()
        cosines = (rows * part.target).sum(dim=-1)[part.scored]
        total, count = total + cosines.sum().item(), count + len(cosines)
    return total / count


def agreement(
    teacher: ColbertModel, layers: Sequence[int], shard: Shard, tokenizer: ColbertTokenizer
) -> tuple[float, float]:
    """Return how near the teacher without training stays to itself, for documents and for queries."""
    student = copy.copy(teacher)
    student._modules = {**teacher._modules, "layers": torch.nn.ModuleList(teacher.layers[i] for i in layers)}  # noqa: SLF001
    return (
        mean_cosine(student, shard.documents[:SAMPLE], tokenizer),
        mean_cosine(student, shard.queries[:SAMPLE], tokenizer),
    )


def main() -> None:
    """Print which layer is missed least, over and over, by rows that ``make_model.py`` left in its work folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--rows", type=Path, required=True, help="folder of cached rows, such as work/pruned/rows"
    )
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=len(KEPT_LAYERS), help="how many to stop at")
    options = parser.parse_args()
    teacher = load_teacher(options.teachers / COLBERT)
    turn = torch.from_numpy(np.load(options.rows / "turn.npy"))
    teacher.head.weight.copy_(turn @ teacher.head.weight)
    tokenizer = ColbertTokenizer(options.work / "source" / "tokenizer.json", LAYOUT)
    shard = read_shard(min((options.rows).glob("shard-*.npz")))
    layers = list(range(TEACHER_LAYERS))
    while len(layers) > options.layers:
        found = {
            without: agreement(teacher, [i for i in layers if i != without], shard, tokenizer)
            for without in layers
        }
        layers.remove(max(found, key=lambda without: sum(found[without])))
        best = max(found.values(), key=sum)
        print(f"{len(layers)} layers {layers}: documents {best[0]:.4f}, queries {best[1]:.4f}", flush=True)


if __name__ == "__main__":
    main()
