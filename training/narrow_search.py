"""How the shapes of the narrower layers are found: what loses least for the time that it saves goes first."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from colbert_teacher import load_teacher
from model import HEAD_SIZE, ColbertModel, Shape
from narrow import Reading, embedded
from passages import PASSAGES, fitting_rows, read_passages
from preflight import COLBERT
from tokens import LAYOUT, ColbertTokenizer
from torch import Tensor

LAYER_COST, HEAD_COST, NEURON_COST = 0.35, 0.152, 0.001
"""Milliseconds that INT8 takes for a document of 200 tokens, by onnxruntime's profile of whole layers."""
BUDGET = 34.0
"""Of the same milliseconds, for all layers; seven whole ones take 26, all twelve 44.5."""
NEURON_STEP = 64


def cost(shape: Shape) -> float:
    """Return the time that a layer takes."""
    return LAYER_COST + HEAD_COST * shape.heads + NEURON_COST * shape.neurons


@dataclass(frozen=True, slots=True)
class Errors:
    """What is lost with fewer heads or neurons, as a share of the variance of what the normalisation takes."""

    heads: dict[int, float]
    neurons: dict[int, float]

    def of(self, shape: Shape) -> float:
        """Return the loss of a layer of a shape."""
        return self.heads[shape.heads] + self.neurons[shape.neurons]


def energy(sums: Tensor) -> float:
    """Return the squares that are left when every token's mean is taken away, as the normalisation does."""
    return (sums - sums.mean(dim=-1, keepdim=True)).square().sum().item()


@torch.no_grad()
def layer_errors(teacher: ColbertModel, rows: Sequence[Sequence[int]]) -> list[Errors]:
    """Measure what every layer of the whole teacher loses at every size."""
    lengths = [len(row) for row in rows]
    states = embedded(teacher, rows)
    errors = []
    for layer in teacher.layers:
        found = Reading.of(layer, states, lengths)
        heads, neurons = energy(found.attended), energy(found.lowered)
        errors.append(
            Errors(
                {len(cut.kept) // HEAD_SIZE: cut.error / heads for cut in found.head_cuts(layer)},
                {len(cut.kept): cut.error / neurons for cut in found.neuron_cuts(layer)},
            )
        )
        states = layer.output_norm(found.lowered)
    return errors


def smaller(shape: Shape) -> list[Shape]:
    """List the next shapes of a layer."""
    heads = [replace(shape, heads=shape.heads - fewer) for fewer in (1, 2, 3) if shape.heads > fewer]
    sizes = [shape.neurons - NEURON_STEP * fewer for fewer in (1, 2, 3, 4)]
    return heads + [replace(shape, neurons=size) for size in sizes if size >= 2 * NEURON_STEP]


def search(errors: Sequence[Errors], budget: float) -> list[Shape]:
    """Take, over and over, from the layer that loses least for the time it saves, until all fit into ``budget``.

    Raises:
        ValueError: If the smallest layers take longer.
    """
    shapes = [Shape() for _ in errors]
    while sum(map(cost, shapes)) > budget:
        steps = [
            (
                (errors[layer].of(after) - errors[layer].of(before)) / (cost(before) - cost(after)),
                layer,
                after,
            )
            for layer, before in enumerate(shapes)
            for after in smaller(before)
        ]
        if not steps:
            raise ValueError(f"no layers fit into a budget of {budget} ms")
        _, layer, after = min(steps, key=lambda step: step[0])
        shapes[layer] = after
    return shapes


def main() -> None:
    """Print the layers' shapes for a budget of time, by passages that ``make_model.py`` left in its work folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument(
        "--budget", type=float, default=BUDGET, help="milliseconds of a document of 200 tokens"
    )
    options = parser.parse_args()
    teacher = load_teacher(options.teachers / COLBERT)
    tokenizer = ColbertTokenizer(options.work / "source" / "tokenizer.json", LAYOUT)
    passages = read_passages(options.work / PASSAGES)
    errors = layer_errors(teacher, fitting_rows(passages, tokenizer))
    for layer, (found, shape) in enumerate(zip(errors, search(errors, options.budget), strict=True)):
        print(
            f"{layer}: {shape.heads} heads, {shape.neurons} neurons; {found.of(shape):.4f} lost", flush=True
        )


if __name__ == "__main__":
    main()
