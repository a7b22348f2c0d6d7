"""A network's products and normalisations by name: as nodes of its graph, and by their definition in numpy."""

from __future__ import annotations

from collections.abc import Mapping

from laterank.export.arithmetic import layer_norm, product
from laterank.export.graph import Floats, GraphWriter

__all__ = ["NamedParts"]


class NamedParts:
    """What networks share whose weights are kept under ``name.weight`` and, where there is one, ``name.bias``.

    Attributes:
        weights: By name. *Shape of a product's weight:* ``(out, in)``
        epsilon: What every normalisation adds to the variance.
    """

    __slots__ = ()

    weights: Mapping[str, Floats]
    epsilon: float

    @property
    def hidden(self) -> int:
        """Numbers in a hidden state."""
        return int(self.weights["norm.weight"].shape[0])

    def _add_product(self, graph: GraphWriter, source: str, name: str) -> str:
        return graph.product(source, name, *self._named(name))

    def _add_norm(self, graph: GraphWriter, source: str, name: str, output: str) -> str:
        return graph.norm(source, name, *self._named(name), self.epsilon, output)

    def _product(self, rows: Floats, name: str) -> Floats:
        return product(rows, *self._named(name))

    def _normalised(self, rows: Floats, name: str) -> Floats:
        return layer_norm(rows, *self._named(name), self.epsilon)

    def _named(self, name: str) -> tuple[Floats, Floats | None]:
        return self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias")
