"""MaxSim, and rounding to float16, as ONNX graphs of a few nodes, written as the protobuf messages that they are.

The graph of a document's rows D, padded by repeating one of its own, and the query's rows as columns:
``best[i, j] = max_k <D_i[k], q_j>``, one number for each document and query row. Where rows are floats, ``total`` is the
sum of all similarities, which is finite if each of them is. Field numbers and types are those of onnx.proto3, where a
message is a sequence of (number, type, value).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["BASE", "FLOAT16_GRAPH", "FLOAT32_GRAPH", "HALVING_GRAPH", "INT8_GRAPH", "ZERO"]

FLOAT, UINT8, INT8, INT32, INT64, FLOAT16 = 1, 2, 3, 6, 7, 10
IR_VERSION, OPSET = 8, 17

BASE = 128
"""A query's number is ``BASE * high + low``, each of them a small INT8."""
ZERO = 128
"""What stands for 0 in a document's rows as uint8: products of uint8 and int8 are what processors are fast at."""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, value: int | str | bytes) -> bytes:
    """Return one field of a message: a number as it is, a text or another message behind its length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _node(operator: str, inputs: str, output: str, **attributes: int | list[int]) -> bytes:
    named = b"".join(_field(1, name) for name in inputs.split()) + _field(2, output) + _field(4, operator)
    return named + b"".join(_field(5, _attribute(name, value)) for name, value in attributes.items())


def _attribute(name: str, value: int | list[int]) -> bytes:
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, 2)
    return _field(1, name) + b"".join(_field(8, number) for number in value) + _field(20, 7)


def _tensor(name: str, kind: int, sizes: str) -> bytes:
    """Return an input or output; its sizes are names, as they are known at the run only."""
    shape = b"".join(_field(1, _field(2, size)) for size in sizes.split())
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


def _constant(name: str, kind: int, value: bytes) -> bytes:
    return _field(2, kind) + _field(8, name) + _field(9, value)


def _model(
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    constants: Sequence[bytes] = (),
) -> bytes:
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "maxsim")
    graph += b"".join(_field(5, constant) for constant in constants)
    graph += b"".join(_field(11, one) for one in inputs)
    graph += b"".join(_field(12, one) for one in outputs)
    return _field(1, IR_VERSION) + _field(2, "laterank") + _field(7, graph) + _field(8, _field(2, OPSET))


BEST = _node("ReduceMax", "similarities", "best", axes=[1], keepdims=0)
BEST_OUTPUT = _tensor("best", FLOAT, "documents query_tokens")


def _float_graph(kind: int, *before: bytes, rows: str) -> bytes:
    return _model(
        [
            *before,
            _node("MatMul", f"{rows} query", "similarities"),
            BEST,
            _node("ReduceSum", "similarities", "total", keepdims=0),
        ],
        [_tensor("documents", kind, "documents tokens dim"), _tensor("query", FLOAT, "dim query_tokens")],
        [BEST_OUTPUT, _tensor("total", FLOAT, "")],
    )


FLOAT32_GRAPH = _float_graph(FLOAT, rows="documents")

FLOAT16_GRAPH = _float_graph(FLOAT16, _node("Cast", "documents", "widened", to=FLOAT), rows="widened")

INT8_GRAPH = _model(
    [
        _node("MatMulInteger", "documents high zero", "high_products"),
        _node("MatMulInteger", "documents low zero", "low_products"),
        _node("Mul", "high_products base", "raised_products"),
        _node("Add", "raised_products low_products", "products"),
        _node("DequantizeLinear", "products scales", "flat_similarities", axis=0),
        _node("Reshape", "flat_similarities shape", "similarities"),
        BEST,
    ],
    [
        _tensor("documents", UINT8, "rows dim"),
        _tensor("scales", FLOAT, "rows"),
        _tensor("high", INT8, "dim query_tokens"),
        _tensor("low", INT8, "dim query_tokens"),
        _tensor("shape", INT64, "three"),
    ],
    [BEST_OUTPUT],
    [
        _constant("zero", UINT8, np.uint8(ZERO).tobytes()),
        _constant("base", INT32, np.array(BASE, dtype="<i4").tobytes()),
    ],
)

HALVING_GRAPH = _model(
    [_node("Cast", "rows", "halved", to=FLOAT16)],
    [_tensor("rows", FLOAT, "tokens dim")],
    [_tensor("halved", FLOAT16, "tokens dim")],
)
"""Float32 to the nearest float16: the same bits as numpy's, thirty times as fast."""
