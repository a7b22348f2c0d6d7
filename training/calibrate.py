"""SmoothQuant factors: move activation outliers into the weights, where a scale per column absorbs them."""

from __future__ import annotations

import numpy as np
import torch
from model import ColbertModel

from laterank.export.calibration import factors

SMOOTHED = ("up", "down")
STRENGTH = 0.8
"""How much of an outlier moves; README.md tells what was measured."""


@torch.no_grad()
def input_maxima(
    model: ColbertModel, rows: list[list[int]], parts: tuple[str, ...] = SMOOTHED
) -> dict[str, np.ndarray]:
    """Return the largest magnitude of every input channel of the chosen products over the given token rows."""
    maxima: dict[str, torch.Tensor] = {}
    hooks = []
    for number in range(len(model.layers)):
        for part in parts:
            name = f"layers.{number}.{part}"

            def record(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], name: str = name) -> None:
                largest = inputs[0].abs().flatten(0, -2).amax(dim=0)
                maxima[name] = torch.maximum(maxima[name], largest) if name in maxima else largest

            hooks.append(model.get_submodule(name).register_forward_pre_hook(record))
    for row in rows:
        ids = torch.tensor([row])
        model(ids, torch.ones_like(ids))
    for hook in hooks:
        hook.remove()
    return {name: largest.numpy() for name, largest in maxima.items()}


def smoothing_factors(
    model: ColbertModel, rows: list[list[int]], strength: float = STRENGTH
) -> dict[str, np.ndarray]:
    """Balance activations and weights channel by channel (SmoothQuant, arXiv 2211.10438): ``max|x|^a / max|w|^(1-a)``."""
    return {
        name: factors(largest, model.get_parameter(f"{name}.weight").detach().numpy(), strength)
        for name, largest in input_maxima(model, rows).items()
    }
