"""A passage cut into cells: characters that one or more tokens stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from laterank.encoding.reading import Token

__all__ = ["Cell", "cells"]


@dataclass(frozen=True, slots=True)
class Cell:
    """Characters that belong together, because tokens share them.

    Attributes:
        start: The first character.
        end: One after the last.
        positions: The tokens, by their place among the scored ones.
    """

    start: int
    end: int
    positions: tuple[int, ...]


def cells(tokens: Sequence[Token]) -> list[Cell]:
    """Return the caller's own tokens in order, those that share characters in one cell.

    A token without any character joins the one that follows at the same place.
    """
    found: list[Cell] = []
    for position, token in enumerate(tokens):
        if token.start is None or token.end is None:
            continue
        last = found[-1] if found else None
        if last and (token.start < last.end or last.start == last.end == token.start):
            found[-1] = Cell(last.start, max(last.end, token.end), (*last.positions, position))
        else:
            found.append(Cell(token.start, token.end, (position,)))
    return found
