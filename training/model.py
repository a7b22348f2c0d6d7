"""The encoder in plain torch: a BERT with a linear head whose rows have unit length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

HIDDEN, HEADS, EPSILON = 384, 12, 1e-12
HEAD_SIZE = HIDDEN // HEADS
MINILM_LAYERS = 6


@dataclass(frozen=True, slots=True)
class Shape:
    """How many attention heads and how many feed-forward neurons a layer has."""

    heads: int = HEADS
    neurons: int = 4 * HIDDEN


class Layer(nn.Module):
    """One BERT layer with its three attention projections packed into one product."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.qkv = nn.Linear(HIDDEN, 3 * HEAD_SIZE * shape.heads)
        self.attention_out = nn.Linear(HEAD_SIZE * shape.heads, HIDDEN)
        self.attention_norm = nn.LayerNorm(HIDDEN, eps=EPSILON)
        self.up = nn.Linear(HIDDEN, shape.neurons)
        self.down = nn.Linear(shape.neurons, HIDDEN)
        self.output_norm = nn.LayerNorm(HIDDEN, eps=EPSILON)

    def mixed(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return what each head makes of the unmasked tokens, side by side. *Shape:* ``(batch, tokens, heads * 32)``."""
        batch, tokens, _ = states.shape
        query, key, value = self.qkv(states).view(batch, tokens, 3, -1, HEAD_SIZE).permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(2, 3)).mul(HEAD_SIZE**-0.5).masked_fill(~mask, -1e4).softmax(dim=-1)
        # Written out: the backward of torch's fused attention is slow on a CPU.
        heads = weights.to(value.dtype) @ value
        return heads.transpose(1, 2).reshape(batch, tokens, -1)

    def raised(self, states: Tensor) -> Tensor:
        """Return the feed-forward neurons. *Shape:* ``(batch, tokens, neurons)``."""
        return functional.gelu(self.up(states))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Attend over unmasked tokens, then feed forward. *Shape:* ``(batch, tokens, 384)``."""
        states = self.attention_norm(states + self.attention_out(self.mixed(states, mask)))
        output: Tensor = self.output_norm(states + self.down(self.raised(states)))
        return output


class ColbertModel(nn.Module):
    """Token ids to unit-length token embeddings."""

    def __init__(
        self, dim: int, shapes: Sequence[Shape], vocabulary: int = 30522, positions: int = 512
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, HIDDEN)
        self.positions = nn.Embedding(positions, HIDDEN)
        self.norm = nn.LayerNorm(HIDDEN, eps=EPSILON)
        self.layers = nn.ModuleList(map(Layer, shapes))
        self.head = nn.Linear(HIDDEN, dim)

    def embedded(self, ids: Tensor) -> Tensor:
        """Return what the first layer reads. *Shape:* ``(batch, tokens, 384)``."""
        states: Tensor = self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]])
        return states

    def states(self, ids: Tensor, attention: Tensor) -> Tensor:
        """Return the last hidden states. *Shape:* ``(batch, tokens, 384)``."""
        states, mask = self.embedded(ids), attention[:, None, None, :].bool()
        for layer in self.layers:
            states = layer(states, mask)
        return states

    def forward(self, ids: Tensor, attention: Tensor) -> Tensor:
        """Return unit-length token embeddings. *Shape:* ``(batch, tokens, dim)``."""
        return functional.normalize(self.head(self.states(ids, attention)).float(), dim=-1)


def shapes_of(sizes: Mapping[str, int]) -> list[Shape]:
    """Return the layers' shapes from the sizes of their parameters, by name; those of the biases are read."""
    shapes: list[Shape] = []
    while (name := f"layers.{len(shapes)}.qkv.bias") in sizes:
        heads = sizes[name] // (3 * HEAD_SIZE)
        shapes.append(Shape(heads, sizes[f"layers.{len(shapes)}.up.bias"]))
    return shapes


def model_of(state: Mapping[str, Tensor]) -> ColbertModel:
    """Return the model that a state is of."""
    shapes = shapes_of({name: len(value) for name, value in state.items()})
    model = ColbertModel(len(state["head.bias"]), shapes)
    model.load_state_dict(state)
    return model


def load_encoder(weights: Path, dim: int) -> ColbertModel:
    """Load Hugging Face BERT weights; token type 0 is folded into the positions, the head stays as it was drawn."""
    bert = load_file(weights)
    model = ColbertModel(dim, [Shape()] * MINILM_LAYERS)
    state = {
        "words.weight": bert["embeddings.word_embeddings.weight"],
        "positions.weight": bert["embeddings.position_embeddings.weight"]
        + bert["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": bert["embeddings.LayerNorm.weight"],
        "norm.bias": bert["embeddings.LayerNorm.bias"],
        "head.weight": model.head.weight.detach(),
        "head.bias": torch.zeros(dim),
    }
    names = {
        "attention_out": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "output_norm": "output.LayerNorm",
    }
    for number in range(MINILM_LAYERS):
        source = f"encoder.layer.{number}"
        for part in ("weight", "bias"):
            packed = [bert[f"{source}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            state[f"layers.{number}.qkv.{part}"] = torch.cat(packed)
            for ours, theirs in names.items():
                state[f"layers.{number}.{ours}.{part}"] = bert[f"{source}.{theirs}.{part}"]
    model.load_state_dict(state)
    return model
