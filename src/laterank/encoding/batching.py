"""Which texts share a run of the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["CPU_BATCHING", "GPU_BATCHING", "Batching", "rounds"]


@dataclass(frozen=True, slots=True)
class Batching:
    """How texts are grouped into runs.

    Attributes:
        tokens: The most tokens in one run, padding included; one longer text still gets its run.
        padding: How much shorter than the batch's longest a text may be, as a share of it; 0 for no padding at all.
        texts: The most texts in one run.
    """

    tokens: int
    padding: float = 0.0
    texts: int = 1 << 30

    def plan(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Yield batches of positions in ``lengths``, the longest texts first, so that the last runs are short ones."""
        batch: list[int] = []
        for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
            longest = lengths[batch[0]] if batch else 0
            full = (len(batch) + 1) * longest > self.tokens or len(batch) == self.texts
            if batch and (full or lengths[position] < longest * (1 - self.padding)):
                yield batch
                batch = []
            batch.append(position)
        if batch:
            yield batch


CPU_BATCHING = Batching(tokens=512)
"""Larger batches leave the processor's caches and are slower, and padding is pure loss."""
GPU_BATCHING = Batching(tokens=16_384, padding=0.25)
"""A GPU wants few, large runs and pays little for padding."""


def rounds(texts: Sequence[str], sizes: Iterable[int], *, most: int) -> Iterator[Sequence[str]]:
    """Yield the texts in order, as many together as have a size of ``most``; one larger text alone."""
    first, filled = 0, 0
    for position, size in enumerate(sizes):
        if position > first and filled + size > most:
            yield texts[first:position]
            first, filled = position, 0
        filled += size
    if first < len(texts):
        yield texts[first:]
