"""BERT and its kin (Devlin et al. 2018, arXiv 1810.04805): weights, the lean graph, and the definition in numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from laterank.encoding.projection import Projection
from laterank.export.arithmetic import activation_function, attend
from laterank.export.graph import Floats, GraphWriter
from laterank.export.parts import NamedParts

__all__ = ["BertNetwork", "layer_count"]


def layer_count(names: Iterable[str]) -> int:
    """Count the layers of which weights, or tensors of a graph, are named ``layers.N.part``."""
    return 1 + max(int(name.split(".")[1]) for name in names if name.startswith("layers."))


@dataclass(frozen=True, slots=True)
class BertNetwork(NamedParts):
    """A BERT encoder without pooler, its three attention projections packed and token type 0 folded into the positions.

    Attributes:
        weights: ``words.weight``, ``positions.weight``, ``norm.weight``, ``norm.bias`` and, for each layer,
            ``layers.0.qkv``, ``.attention_out``, ``.attention_norm``, ``.up``, ``.down``, ``.output_norm``, each with
            ``.weight`` and ``.bias``. *Shape of a product's weight:* ``(out, in)``
        heads: Attention heads of a layer whose attention is as wide as a hidden state; a narrower one has fewer of that size.
        epsilon: What every normalisation adds to the variance.
        activation: As ``hidden_act`` of ``config.json`` names it.
    """

    weights: Mapping[str, Floats]
    heads: int
    epsilon: float = 1e-12
    activation: str = "gelu"

    @property
    def layers(self) -> int:
        """How many layers the weights have."""
        return layer_count(self.weights)

    def graph(self, projection: Projection | None) -> onnx.ModelProto:
        """Write the graph from ``input_ids`` and ``attention_mask`` to unit-length ``token_embeddings``."""
        graph = GraphWriter()
        graph.mask()
        graph.add("Shape", ["input_ids"], "tokens", start=1, end=2)
        window = [graph.constant("zero", np.array([0])), "tokens", graph.constant("rows_axis", np.array([0]))]
        words = graph.constant("words", self.weights["words.weight"])
        positions = graph.constant("positions", self.weights["positions.weight"])
        words = graph.add("Gather", [words, "input_ids"], "words_rows")
        positions = graph.add("Slice", [positions, *window], "positions_rows")
        summed = graph.add("Add", [words, positions], "summed")
        states = self._add_norm(graph, summed, "norm", "embedded")
        for number in range(self.layers):
            states = self._layer(graph, states, number)
        graph.head(states, projection.layers if projection else ())
        return graph.model(projection.out_features if projection else self.hidden)

    def states(self, ids: NDArray[np.int64], attention: NDArray[np.bool_]) -> Floats:
        """Compute hidden states in numpy, by the definition, to check graphs against.

        Args:
            ids: One text's tokens. *Shape:* ``(tokens,)``
            attention: Which of them the others see. *Shape:* ``(tokens,)``

        Returns:
            *Shape:* ``(tokens, hidden)``
        """
        activation = activation_function(self.activation)
        embedded = self.weights["words.weight"][ids] + self.weights["positions.weight"][: len(ids)]
        states = self._normalised(embedded, "norm")
        for number in range(self.layers):
            name = f"layers.{number}"
            query, key, value = np.split(self._product(states, f"{name}.qkv"), 3, axis=-1)
            seen = np.broadcast_to(attention, (len(ids), len(ids)))
            mixed = attend(query, key, value, self._heads(query.shape[1]), seen)
            states = self._normalised(
                states + self._product(mixed, f"{name}.attention_out"), f"{name}.attention_norm"
            )
            lowered = self._product(activation(self._product(states, f"{name}.up")), f"{name}.down")
            states = self._normalised(states + lowered, f"{name}.output_norm")
        return states

    def _heads(self, wide: int) -> int:
        """Count the heads of an attention that is ``wide`` numbers wide."""
        return wide * self.heads // self.hidden

    def _layer(self, graph: GraphWriter, states: str, number: int) -> str:
        name, short = f"layers.{number}", f"l{number}"
        packed = self._add_product(graph, states, f"{name}.qkv")
        parts = [f"{short}.query", f"{short}.key", f"{short}.value"]
        graph.split(packed, parts, f"{short}.split")
        wide = self.weights[f"{name}.qkv.weight"].shape[0] // 3
        mixed = graph.attention(number, parts, self._heads(wide), wide)
        attended = self._add_product(graph, mixed, f"{name}.attention_out")
        states = self._residual(graph, attended, states, f"{name}.attention_norm", f"{short}.attended")
        raised = self._add_product(graph, states, f"{name}.up")
        raised = graph.activation(raised, self.activation, f"{short}.{self.activation}")
        lowered = self._add_product(graph, raised, f"{name}.down")
        return self._residual(graph, lowered, states, f"{name}.output_norm", f"{short}.states")

    def _residual(self, graph: GraphWriter, source: str, skip: str, name: str, output: str) -> str:
        """Add the residual and normalise: two nodes, because the fused one runs four times slower on a CPU."""
        return self._add_norm(graph, graph.add("Add", [source, skip], f"{name}.sum"), name, output)
