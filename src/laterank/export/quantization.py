"""A full-precision graph to INT8: weights with a scale for each output column, inputs quantised at every run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from laterank.errors import ModelFormatError
from laterank.export.graph import MICROSOFT, Floats
from laterank.export.products import Product, Table, find_products, find_tables, head_products
from laterank.export.rounding import LARGEST, SMALLEST_SCALE, Rounded, quantize_rows
from laterank.export.six_bits import LARGEST_SIX_BITS, pack, unpacking

__all__ = ["quantize_graph"]

AXES_ARE_AN_INPUT = 18
"""Operators' version from which ReduceMax takes its axes as an input, not as an attribute."""
SPLITS_BY_NUMBER = 18
"""And from which Split can be told how many parts there are."""


def quantize_graph(
    model: onnx.ModelProto,
    *,
    smoothing: Mapping[str, Floats] | None = None,
    rounded: Mapping[str, Rounded] | None = None,
    keep: Collection[str] = (),
    by_row: Collection[str] = (),
    half_precision: bool = False,
    unused_ids: range = range(0),
    six_bit_words: bool = False,
) -> onnx.ModelProto:
    """Write the INT8 graph of a full-precision one.

    Products become ``DynamicQuantizeMatMul``, which scales its input over a whole run (so rows depend on what shares it:
    the encoder gives such a graph one text a run). Embedding tables get a scale for each row. The projection stays
    in float32: it is small and decides every row.

    Args:
        model: The graph; it is not changed.
        smoothing: By product, what divides each input channel and multiplies the weights there (SmoothQuant,
            arXiv 2211.10438). *Shape:* ``(inputs,)`` each
        rounded: By product, its weights times the smoothing in INT8, with their scales; others are rounded to the nearest.
            *Shape:* ``(outputs, inputs)`` and ``(outputs, 1)`` each
        keep: Names of further products that stay in float32.
        by_row: Names of products whose inputs are divided by each row's largest magnitude first, so that one token's outliers
            do not coarsen the steps of all others.
        half_precision: Whether the projection and the tables' scales are stored in float16, for a smaller file.
        unused_ids: Token ids that no text becomes; the word embeddings go without their rows.
        six_bit_words: Whether word embeddings, whose width four must divide, take six bits a number instead of eight; the graph's
            operators must then be of version 18 or newer.

    Raises:
        ModelFormatError: If the graph has no product with a stored float32 matrix, or its words cannot take six bits.
    """
    if six_bit_words:
        _check_six_bits(model)
    products = find_products(model)
    head = head_products(model, products)
    kept = {*keep, *head}
    writer = _Int8Writer(
        model,
        smoothing or {},
        rounded or {},
        by_row,
        half_precision=half_precision,
        unused_ids=unused_ids,
        six_bit_words=six_bit_words,
    )
    replaced: dict[str, list[onnx.NodeProto]] = {}  # by the output of the node that goes
    for product in products:
        if product.name not in kept:
            replaced[product.product] = []
            replaced[product.output] = writer.product(product)
        elif product.name in head and half_precision:
            replaced[product.product] = writer.half_product(product)
    for table in find_tables(model):
        replaced[table.node.output[0]] = writer.table(table)
    nodes = [new for node in model.graph.node for new in replaced.get(_first_output(node), [node])]
    return _with(model, nodes, writer.stored)


def _check_six_bits(model: onnx.ModelProto) -> None:
    version = max(
        operators.version for operators in model.opset_import if operators.domain in ("", "ai.onnx")
    )
    words = next((table for table in find_tables(model) if _has_words(table)), None)
    if words is None:
        raise ModelFormatError("six_bit_words: the graph has no embedding table that input_ids picks from")
    width = next(tensor.dims[-1] for tensor in model.graph.initializer if tensor.name == words.name)
    if width % 4 or version < SPLITS_BY_NUMBER:
        raise ModelFormatError(
            f"six_bit_words: words of {width} numbers and operators of version {version}, expected a multiple of 4 and at least "
            f"version {SPLITS_BY_NUMBER}"
        )


def _has_words(table: Table) -> bool:
    return table.node.op_type == "Gather" and list(table.node.input[1:]) == ["input_ids"]


class _Int8Writer:
    """Turns parts of a graph into their INT8 form, and keeps the tensors that they need."""

    def __init__(
        self,
        model: onnx.ModelProto,
        smoothing: Mapping[str, Floats],
        rounded: Mapping[str, Rounded],
        by_row: Collection[str],
        *,
        half_precision: bool,
        unused_ids: range,
        six_bit_words: bool,
    ) -> None:
        self._smoothing = smoothing
        self._rounded = rounded
        self._by_row = by_row
        self._divisors: dict[tuple[str, bytes], str] = {}
        self._reduces_by_input = any(
            operators.version >= AXES_ARE_AN_INPUT
            for operators in model.opset_import
            if operators.domain in ("", "ai.onnx")
        )
        self._half_precision = half_precision
        self._unused_ids = unused_ids
        self._six_bit_words = six_bit_words
        self.stored = {tensor.name: tensor for tensor in model.graph.initializer}

    def product(self, product: Product) -> list[onnx.NodeProto]:
        """Quantise one product; its bias goes inside."""
        source, nodes = product.source, []
        weight = numpy_helper.to_array(self.stored[product.weight]).T
        if product.name in self._smoothing:
            factor = self._smoothing[product.name].astype(np.float32)
            divisor = self._divisor(product, np.float32(1) / factor)
            source = f"{product.name}.smoothed"
            nodes.append(_node("Mul", [product.source, divisor], source))
            weight = weight * factor
        rows, scale = self._rounded[product.name] if product.name in self._rounded else quantize_rows(weight)
        self._store(product.weight, rows.T)
        stored = [product.weight, self._store(f"{product.name}.scale", scale[:, 0]), ""]
        if product.name in self._by_row:
            return [*nodes, *self._product_by_row(product, source, stored)]
        inputs = [source, *stored, product.bias or ""]
        return [*nodes, _node("DynamicQuantizeMatMul", inputs, product.output, MICROSOFT)]

    def _divisor(self, product: Product, values: Floats) -> str:
        """Store what smooths an input once, however many products read it: onnxruntime then multiplies by it once, too."""
        known = product.source, values.tobytes()
        if known not in self._divisors:
            self._divisors[known] = self._store(f"{product.name}.smooth", values)
        return self._divisors[known]

    def _product_by_row(self, product: Product, source: str, stored: list[str]) -> list[onnx.NodeProto]:
        """Divide each row by its largest magnitude, multiply, and scale back."""
        name = product.name
        magnitudes, largest, sizes, even, rounded = (
            f"{name}.{part}" for part in ("magnitudes", "largest", "sizes", "even", "rounded")
        )
        scaled = product.product if product.bias else product.output
        nodes = [
            _node("Abs", [source], magnitudes),
            self._largest(magnitudes, largest),
            _node("Max", [largest, self._store("smallest_row", np.float32(SMALLEST_SCALE))], sizes),
            _node("Div", [source, sizes], even),
            _node("DynamicQuantizeMatMul", [even, *stored], rounded, MICROSOFT),
            _node("Mul", [rounded, sizes], scaled),
        ]
        return [*nodes, _node("Add", [scaled, product.bias], product.output)] if product.bias else nodes

    def _largest(self, source: str, output: str) -> onnx.NodeProto:
        if self._reduces_by_input:
            return _node("ReduceMax", [source, self._store("last_axis", np.array([-1]))], output, keepdims=1)
        return _node("ReduceMax", [source], output, keepdims=1, axes=[-1])

    def half_product(self, product: Product) -> list[onnx.NodeProto]:
        """Store a product's matrix in float16 and multiply in float32."""
        matrix = numpy_helper.to_array(self.stored[product.weight])
        self._store(product.weight, matrix.astype(np.float16))
        cast = _as_float(product.weight)
        return [cast, _node("MatMul", [product.source, cast.output[0]], product.product)]

    def table(self, table: Table) -> list[onnx.NodeProto]:
        """Quantise one embedding table, whose rows are picked together with their scales."""
        operation, output, others = table.node.op_type, table.node.output[0], list(table.node.input[1:])
        nodes: list[onnx.NodeProto] = []
        has_words = _has_words(table)
        packs = has_words and self._six_bit_words
        if has_words and self._unused_ids:
            nodes, others = self._used_ids(others[0])
        if f"{table.name}_scale" not in self.stored:
            whole = numpy_helper.to_array(self.stored[table.name])
            if has_words:
                whole = np.delete(whole, self._unused_ids, axis=0)
            scale_type = np.float16 if self._half_precision else np.float32
            rows, scale = quantize_rows(whole, scale_type, largest=LARGEST_SIX_BITS if packs else LARGEST)
            self._store(table.name, pack(rows) if packs else rows)
            self._store(f"{table.name}_scale", scale)
        picked, scales = f"{output}_int8", f"{output}_scale"
        nodes += [
            _node(operation, [table.name, *others], picked),
            _node(operation, [f"{table.name}_scale", *others], scales),
            *(self._unpacked(picked) if packs else [_as_float(picked)]),
        ]
        if self._half_precision:
            nodes.append(_as_float(scales))
            scales = f"{scales}_float"
        return [*nodes, _node("Mul", [f"{picked}_float", scales], output)]

    def _unpacked(self, packed: str) -> list[onnx.NodeProto]:
        """Read picked rows of six bits a number as float32."""
        nodes, constants = unpacking(packed, f"{packed}_float")
        for name, value in constants.items():
            self._store(name, value)
        return nodes

    def _used_ids(self, ids: str) -> tuple[list[onnx.NodeProto], list[str]]:
        """Close the gap that the rows of unused ids leave: ids below stay, those above move down."""
        last_below = self._store("last_below", np.array(self._unused_ids.start - 1))
        gap = self._store("gap", np.array(len(self._unused_ids)))
        nodes = [
            _node("Min", [ids, last_below], "ids_below"),
            _node("Sub", [ids, gap], "ids_moved"),
            _node("Max", ["ids_below", "ids_moved"], "ids_used"),
        ]
        return nodes, ["ids_used"]

    def _store(self, name: str, value: NDArray[Any]) -> str:
        self.stored[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name


def _first_output(node: onnx.NodeProto) -> str:
    return node.output[0] if node.output else ""


def _as_float(source: str) -> onnx.NodeProto:
    """Read a tensor of fewer bits as float32."""
    return _node("Cast", [source], f"{source}_float", to=TensorProto.FLOAT)


def _node(
    operation: str, inputs: list[str], output: str, domain: str = "", **attributes: int | list[int]
) -> onnx.NodeProto:
    while not inputs[-1]:
        inputs = inputs[:-1]
    return helper.make_node(operation, inputs, [output], name=output, domain=domain, **attributes)


def _with(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], stored: Mapping[str, onnx.TensorProto]
) -> onnx.ModelProto:
    """Return a graph with the same inputs and outputs."""
    body = helper.make_graph(
        nodes, model.graph.name, model.graph.input, model.graph.output, list(stored.values())
    )
    operators = {operators.domain: operators.version for operators in model.opset_import}
    operators.setdefault(MICROSOFT, 1)
    imports = [helper.make_opsetid(domain, version) for domain, version in operators.items()]
    return helper.make_model(
        body, opset_imports=imports, ir_version=model.ir_version, producer_name="laterank"
    )
