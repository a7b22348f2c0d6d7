"""A start that keeps all of the teacher's layers, with fewer heads and neurons in each, every product fitted to stand in for the whole."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from model import HEAD_SIZE, ColbertModel, Layer, Shape
from surgeon import Cut, Matrix, correction, cuts, refitted
from torch import Tensor, nn
from torch.nn import functional

SHAPES = tuple(
    map(
        Shape,
        (5, 7, 9, 8, 9, 9, 7, 6, 7, 5, 5, 3),
        (576, 960, 1216, 384, 320, 576, 1024, 1024, 448, 768, 704, 128),
    )
)
"""By layer, as ``narrow_search.py`` finds them; other texts to search over move a few by a head or some 64 neurons."""
WIDE_SHAPES = tuple(
    map(
        Shape,
        (7, 11, 11, 11, 12, 12, 12, 10, 10, 7, 10, 5),
        (960, 1344, 1472, 704, 640, 960, 1344, 1280, 832, 1216, 960, 128),
    )
)
"""The same for a budget of 34 ms."""
NEURONS_AT_ONCE = 16


def moments(inputs: Tensor) -> Matrix:
    """Return the sum of ``x x^T``. *Shape:* ``(tokens, in)`` to ``(in, in)``."""
    found: Matrix = (inputs.T @ inputs).double().numpy()
    return found


def matrix(product: nn.Linear) -> Matrix:
    """Return a product's weight. *Shape:* ``(out, in)``."""
    weight: Matrix = product.weight.double().numpy()
    return weight


def of_outputs(product: nn.Linear, kept: np.ndarray) -> nn.Linear:
    """Return a product with some of its outputs."""
    result = nn.Linear(product.in_features, len(kept))
    result.weight.copy_(product.weight[kept])
    result.bias.copy_(product.bias[kept])
    return result


def of_inputs(product: nn.Linear, found: Matrix, kept: np.ndarray) -> nn.Linear:
    """Return the product of some of its inputs that comes nearest to it."""
    result = nn.Linear(len(kept), product.out_features)
    result.weight.copy_(torch.from_numpy(refitted(matrix(product), found, kept)))
    result.bias.copy_(product.bias)
    return result


def fit(product: nn.Linear, inputs: Tensor, wanted: Tensor) -> None:
    """Change a product so that its outputs come nearest to the wanted ones. *Shape:* ``(tokens, in)``, ``(tokens, out)``."""
    ones = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    missing = ((wanted - product(inputs)).T @ ones).double().numpy()
    change = torch.from_numpy(correction(moments(ones), missing)).float()
    product.weight.add_(change[:, :-1])
    product.bias.add_(change[:, -1])


def embedded(model: ColbertModel, rows: Sequence[Sequence[int]]) -> Tensor:
    """Return what the first layer reads of texts, their tokens end to end. *Shape:* ``(tokens, 384)``."""
    return torch.cat([model.embedded(torch.tensor([list(row)]))[0] for row in rows])


def mixed(layer: Layer, states: Tensor, lengths: Sequence[int]) -> Tensor:
    """Return the heads' outputs of texts whose tokens lie end to end. *Shape:* ``(tokens, heads * 32)``."""
    everywhere = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    return torch.cat([layer.mixed(text[None], everywhere)[0] for text in states.split(list(lengths))])


@dataclass(frozen=True, slots=True)
class Reading:
    """What the tokens of many texts become in one layer. *Shape:* ``(tokens, ...)`` each.

    Attributes:
        qkv: Queries, keys and values of all heads.
        mixed: The heads' outputs.
        attended: The sum that the first normalisation takes.
        states: What the feed-forward part reads.
        up: Its neurons before the activation.
        lowered: The sum that the second normalisation takes.
    """

    qkv: Tensor
    mixed: Tensor
    attended: Tensor
    states: Tensor
    up: Tensor
    lowered: Tensor

    @classmethod
    def of(cls, layer: Layer, states: Tensor, lengths: Sequence[int]) -> Reading:
        """Read states with a layer."""
        heads = mixed(layer, states, lengths)
        attended = states + layer.attention_out(heads)
        between = layer.attention_norm(attended)
        up = layer.up(between)
        lowered = between + layer.down(functional.gelu(up))
        return cls(layer.qkv(states), heads, attended, between, up, lowered)

    def head_cuts(self, layer: Layer) -> list[Cut]:
        """Return what leaving out one head after another costs the whole layer."""
        return cuts(matrix(layer.attention_out), moments(self.mixed), HEAD_SIZE)

    def neuron_cuts(self, layer: Layer) -> list[Cut]:
        """Return what leaving out its neurons costs."""
        return cuts(matrix(layer.down), moments(functional.gelu(self.up)), at_once=NEURONS_AT_ONCE)


def of_size(found: Sequence[Cut], size: int) -> np.ndarray:
    """Return the inputs that a cut to ``size`` leaves."""
    return next(cut.kept for cut in found if len(cut.kept) == size)


def fewer_heads(layer: Layer, whole: Reading, states: Tensor, lengths: Sequence[int], heads: int) -> Tensor:
    """Leave a layer some heads, fitted over the narrower network's states.

    Returns:
        The sum that the first normalisation takes. *Shape:* ``(tokens, 384)``
    """
    kept = of_size(whole.head_cuts(layer), heads * HEAD_SIZE)
    packed = np.concatenate([kept + layer.attention_out.in_features * part for part in range(3)])
    out = of_inputs(layer.attention_out, moments(whole.mixed), kept)
    qkv = of_outputs(layer.qkv, packed)
    fit(qkv, states, whole.qkv[:, packed])
    layer.qkv, layer.attention_out = qkv, out
    found = mixed(layer, states, lengths)
    fit(out, found, whole.attended - states)
    return states + out(found)


def fewer_neurons(layer: Layer, whole: Reading, states: Tensor, neurons: int) -> Tensor:
    """Leave a layer some neurons, fitted over what it reads now.

    Returns:
        The sum that the second normalisation takes. *Shape:* ``(tokens, 384)``
    """
    kept = of_size(whole.neuron_cuts(layer), neurons)
    down = of_inputs(layer.down, moments(functional.gelu(whole.up)), kept)
    up = of_outputs(layer.up, kept)
    fit(up, states, whole.up[:, kept])
    layer.up, layer.down = up, down
    found = layer.raised(states)
    fit(down, found, whole.lowered - states)
    return states + down(found)


@torch.no_grad()
def narrowed(
    teacher: ColbertModel, rows: Sequence[Sequence[int]], shapes: Sequence[Shape] = SHAPES
) -> ColbertModel:
    """Return a student with the teacher's embeddings and projection and narrower layers, made one after another.

    Each product is fitted to what the teacher's makes of the teacher's own states, so that it stands in for the heads and
    neurons that are gone and for what the layers before it lost.

    Args:
        teacher: The whole model.
        rows: Token ids of the texts to fit over, documents and queries.
        shapes: What is left of each layer.
    """
    student = copy.deepcopy(teacher).cpu()
    lengths = [len(row) for row in rows]
    states = wanted = embedded(student, rows)
    for layer, shape in zip(student.layers, shapes, strict=True):
        whole = Reading.of(layer, wanted, lengths)
        wanted = layer.output_norm(whole.lowered)
        states = layer.attention_norm(fewer_heads(layer, whole, states, lengths, shape.heads))
        states = layer.output_norm(fewer_neurons(layer, whole, states, shape.neurons))
    return student.requires_grad_(requires_grad=True)
