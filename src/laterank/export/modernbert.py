"""ModernBERT (Warner et al. 2024, arXiv 2412.13663): weights, the lean graph, and the definition in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from laterank.encoding.projection import Projection
from laterank.export.arithmetic import activation_function, attend, rotate
from laterank.export.graph import MICROSOFT, Floats, GraphWriter
from laterank.export.parts import NamedParts

__all__ = ["ModernBertNetwork"]

HIDDEN_FROM_VIEW = -10_000.0
"""What is added to the similarity of two tokens that do not see each other: ``exp`` of it is 0 in float32."""


@dataclass(frozen=True, slots=True)
class ModernBertNetwork(NamedParts):
    """A ModernBERT encoder: rotary positions, normalisation before each part, gated feed-forward, local attention.

    Attributes:
        weights: ``words.weight``, ``norm``, ``final_norm`` and, for each layer, ``layers.0.attention_norm`` (not in
            layer 0), ``.qkv``, ``.attention_out``, ``.output_norm``, ``.up``, ``.down``, each with ``.weight`` and
            perhaps ``.bias``; ``up`` gives the raised half, then the gate. *Shape of a product's weight:* ``(out, in)``
        heads: Attention heads.
        local: Whether each layer's tokens see only their neighbours.
        window: How many neighbours that is, on either side.
        thetas: The base of the rotary angles, of each layer.
        positions: The most tokens of a text.
        epsilon: What every normalisation adds to the variance.
        activation: As ``hidden_activation`` of ``config.json`` names it.
    """

    weights: Mapping[str, Floats]
    heads: int
    local: tuple[bool, ...]
    window: int
    thetas: tuple[float, ...]
    positions: int
    epsilon: float = 1e-5
    activation: str = "gelu"

    def graph(self, projection: Projection | None) -> onnx.ModelProto:
        """Write the graph from ``input_ids`` and ``attention_mask`` to unit-length ``token_embeddings``."""
        graph = GraphWriter()
        graph.mask()
        self._add_angles(graph)
        self._add_neighbourhood(graph)
        words = graph.constant("words", self.weights["words.weight"])
        states = self._norm(graph, graph.add("Gather", [words, "input_ids"], "words_rows"), "norm")
        for number in range(len(self.local)):
            states = self._layer(graph, states, number)
        states = self._norm(graph, states, "final_norm")
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
        places = np.arange(len(ids))
        near = np.abs(places[:, None] - places) <= self.window
        states = self._normalised(self.weights["words.weight"][ids], "norm")
        for number, local in enumerate(self.local):
            name = f"layers.{number}"
            source = self._normalised(states, f"{name}.attention_norm") if number else states
            query, key, value = np.split(self._product(source, f"{name}.qkv"), 3, axis=-1)
            cosines, sines = (table[: len(ids)] for table in self._angles(self.thetas[number]))
            query, key = (rotate(rows, cosines, sines, self.heads) for rows in (query, key))
            seen = np.broadcast_to(attention, near.shape)
            mixed = attend(query, key, value, self.heads, seen & near if local else seen)
            states = states + self._product(mixed, f"{name}.attention_out")
            raised = self._product(self._normalised(states, f"{name}.output_norm"), f"{name}.up")
            raised, gate = np.split(raised, 2, axis=-1)
            states = states + self._product(activation(raised) * gate, f"{name}.down")
        return self._normalised(states, "final_norm")

    def _angles(self, theta: float) -> tuple[Floats, Floats]:
        """Return cosines and sines. *Shape:* ``(positions, hidden / heads / 2)`` each"""
        size = self.hidden // self.heads
        frequencies = 1.0 / theta ** (np.arange(0, size, 2) / size)
        angles = np.outer(np.arange(self.positions), frequencies)
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    def _add_angles(self, graph: GraphWriter) -> None:
        graph.constant("first_position", np.array([0]))
        for theta in sorted(set(self.thetas)):
            for name, table in zip(("cos", "sin"), self._angles(theta), strict=True):
                graph.constant(f"{name}_{theta:g}", table)

    def _add_neighbourhood(self, graph: GraphWriter) -> None:
        """Add ``neighbourhood``, a bias that hides far tokens, and ``all_near``: whether nothing is far or masked."""
        graph.constant("window", np.array(self.window))
        graph.constant("zero", np.array(0))
        graph.constant("one", np.array(1))
        graph.constant("seen", np.array(0, dtype=np.float32))
        graph.constant("far", np.array(HIDDEN_FROM_VIEW, dtype=np.float32))
        graph.constant("columns_axis", np.array([1]))
        graph.constant("outer_axes", np.array([0, 1]))
        graph.add("Shape", ["input_ids"], "lengths", start=1, end=2)
        graph.add("Squeeze", ["lengths"], "tokens")
        graph.add("Range", ["zero", "tokens", "one"], "places")
        graph.add("Unsqueeze", ["places", "columns_axis"], "places_down")
        graph.add("Sub", ["places_down", "places"], "offsets")
        graph.add("Abs", ["offsets"], "distances")
        graph.add("Greater", ["distances", "window"], "too_far")
        graph.add("Where", ["too_far", "far", "seen"], "bias")
        graph.add("Unsqueeze", ["bias", "outer_axes"], "neighbourhood")
        graph.add("Sub", ["tokens", "one"], "longest_distance")
        graph.add("LessOrEqual", ["longest_distance", "window"], "short")
        graph.add("And", ["short", "unmasked"], "all_near")

    def _layer(self, graph: GraphWriter, states: str, number: int) -> str:
        name, short = f"layers.{number}", f"l{number}"
        source = self._norm(graph, states, f"{name}.attention_norm") if number else states
        packed = self._add_product(graph, source, f"{name}.qkv")
        parts = [f"{short}.query", f"{short}.key", f"{short}.value"]
        graph.split(packed, parts, f"{short}.split")
        tables = [f"{kind}_{self.thetas[number]:g}" for kind in ("cos", "sin")]
        turned = [
            graph.add("RotaryEmbedding", [part, "first_position", *tables], f"{part}.turned", MICROSOFT)
            for part in parts[:2]
        ]
        bias = "neighbourhood" if self.local[number] else None
        mixed = graph.attention(number, [*turned, parts[2]], self.heads, self.hidden, bias=bias)
        attended = self._add_product(graph, mixed, f"{name}.attention_out")
        states = graph.add("Add", [states, attended], f"{short}.attended")
        raised = self._add_product(graph, self._norm(graph, states, f"{name}.output_norm"), f"{name}.up")
        halves = [f"{short}.raised", f"{short}.gate"]
        graph.split(raised, halves, f"{short}.halves")
        active = graph.activation(halves[0], self.activation, f"{short}.{self.activation}")
        gated = graph.add("Mul", [active, halves[1]], f"{short}.gated")
        lowered = self._add_product(graph, gated, f"{name}.down")
        return graph.add("Add", [states, lowered], f"{short}.states")

    def _norm(self, graph: GraphWriter, source: str, name: str) -> str:
        return self._add_norm(graph, source, name, f"{name}.output")
