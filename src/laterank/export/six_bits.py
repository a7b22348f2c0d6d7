"""Embedding tables in six bits a number: four numbers lie in three bytes, and the graph takes apart the rows that it picks.

A row's last quarter is spread over the upper two bits of the bytes that hold the first three.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

__all__ = ["LARGEST_SIX_BITS", "pack", "unpack", "unpacking"]

LARGEST_SIX_BITS = 31
ZERO = 32
"""What stands for 0 in six bits."""
UPPER = 64
"""The upper two bits of a byte count this much."""


def pack(rows: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Return rows of numbers from -31 to 31 in three bytes for four.

    Args:
        rows: *Shape:* ``(rows, n)``, ``n`` a multiple of 4

    Returns:
        *Shape:* ``(rows, 3 * n / 4)``
    """
    *first, last = np.split((rows + np.int8(ZERO)).astype(np.uint8), 4, axis=1)
    return np.concatenate([part | (last >> 2 * place & 3) << 6 for place, part in enumerate(first)], axis=1)


def unpack(packed: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return what ``pack`` was given. *Shape:* ``(rows, bytes)`` to ``(rows, 4 * bytes / 3)``"""
    upper = np.split(packed >> 6, 3, axis=1)
    last = upper[0] | upper[1] << 2 | upper[2] << 4
    numbers: NDArray[np.int8] = np.concatenate([packed & (UPPER - 1), last], axis=1).astype(np.int8)
    numbers -= np.int8(ZERO)
    return numbers


def unpacking(packed: str, output: str) -> tuple[list[onnx.NodeProto], dict[str, NDArray[Any]]]:
    """Return nodes from picked bytes to float32 numbers from -31 to 31, and the constants that they read.

    Args:
        packed: Picked rows. *Shape:* ``(..., bytes)``
        output: What the last node gives; names of what lies between begin with it. *Shape:* ``(..., 4 * bytes / 3)``
    """
    numbers = {"upper": UPPER, "zero": ZERO, "middle": 4, "highest": 16}
    constants = {f"six_bits.{name}": np.array(number, np.float32) for name, number in numbers.items()}
    steps = (
        ("Div", "@bytes six_bits.upper", "share"),
        ("Floor", "@share", "upper"),
        ("Mul", "@upper six_bits.upper", "raised"),
        ("Sub", "@bytes @raised", "first_three"),
        ("Split", "@upper", "lowest middle highest"),
        ("Mul", "@middle six_bits.middle", "middle_raised"),
        ("Mul", "@highest six_bits.highest", "highest_raised"),
        ("Sum", "@lowest @middle_raised @highest_raised", "fourth"),
        ("Concat", "@first_three @fourth", "from_zero"),
    )
    own = f"{output}."
    nodes = [helper.make_node("Cast", [packed], [f"{own}bytes"], name=f"{own}bytes", to=TensorProto.FLOAT)]
    for operation, inputs, outputs in steps:
        along = {"Split": {"axis": -1, "num_outputs": 3}, "Concat": {"axis": -1}}.get(operation, {})
        named = [own + name for name in outputs.split()]
        read = inputs.replace("@", own).split()
        nodes.append(helper.make_node(operation, read, named, name=named[0], **along))
    last = [f"{own}from_zero", "six_bits.zero"]
    return [*nodes, helper.make_node("Sub", last, [output], name=output)], constants
