"""The encoder in plain torch: a BERT with a linear head whose rows have unit length."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

HIDDEN, HEADS, EPSILON = 384, 12, 1e-12
MINILM_LAYERS = 6


class Layer(nn.Module):
    """One BERT layer with its three attention projections packed into one product."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(HIDDEN, 3 * HIDDEN)
        self.attention_out = nn.Linear(HIDDEN, HIDDEN)
        self.attention_norm = nn.LayerNorm(HIDDEN, eps=EPSILON)
        self.up = nn.Linear(HIDDEN, 4 * HIDDEN)
        self.down = nn.Linear(4 * HIDDEN, HIDDEN)
        self.output_norm = nn.LayerNorm(HIDDEN, eps=EPSILON)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Attend over unmasked tokens, then feed forward. *Shape:* ``(batch, tokens, 384)``."""
        batch, tokens, _ = states.shape
        query, key, value = self.qkv(states).view(batch, tokens, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        weights = (
            (query @ key.transpose(2, 3)).mul(query.shape[3] ** -0.5).masked_fill(~mask, -1e4).softmax(dim=-1)
        )
        mixed = (
            weights.to(value.dtype) @ value
        )  # written out: the backward of torch's fused attention is slow on a CPU
        mixed = mixed.transpose(1, 2).reshape(batch, tokens, HIDDEN)
        states = self.attention_norm(states + self.attention_out(mixed))
        raised = functional.gelu(self.up(states))
        output: Tensor = self.output_norm(states + self.down(raised))
        return output


class ColbertModel(nn.Module):
    """Token ids to unit-length token embeddings."""

    def __init__(self, dim: int, layers: int, vocabulary: int = 30522, positions: int = 512) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, HIDDEN)
        self.positions = nn.Embedding(positions, HIDDEN)
        self.norm = nn.LayerNorm(HIDDEN, eps=EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(layers))
        self.head = nn.Linear(HIDDEN, dim)

    def states(self, ids: Tensor, attention: Tensor) -> Tensor:
        """Return the last hidden states. *Shape:* ``(batch, tokens, 384)``."""
        states: Tensor = self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]])
        mask = attention[:, None, None, :].bool()
        for layer in self.layers:
            states = layer(states, mask)
        return states

    def forward(self, ids: Tensor, attention: Tensor) -> Tensor:
        """Return unit-length token embeddings. *Shape:* ``(batch, tokens, dim)``."""
        return functional.normalize(self.head(self.states(ids, attention)).float(), dim=-1)


def load_encoder(weights: Path, dim: int) -> ColbertModel:
    """Load Hugging Face BERT weights; token type 0 is folded into the positions, the head stays as it was drawn."""
    bert = load_file(weights)
    model = ColbertModel(dim, MINILM_LAYERS)
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
