"""A full-precision graph to INT8: weights with a scale for each output column, inputs quantised at every run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from laterank.export.graph import MICROSOFT, Floats
from laterank.export.products import Product, Table, find_products, find_tables, head_products

__all__ = ["quantize_graph", "quantize_rows"]


def quantize_rows(table: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Round each row to INT8 with a scale of its own.

    Args:
        table: *Shape:* ``(rows, n)``

    Returns:
        The rounded rows and their scales. *Shape:* ``(rows, n)``, ``(rows, 1)``
    """
    scale = (np.abs(table).max(axis=1, keepdims=True) / 127 + 1e-12).astype(np.float32)
    return np.clip(np.round(table / scale), -127, 127).astype(np.int8), scale


def quantize_graph(
    model: onnx.ModelProto, *, smoothing: Mapping[str, Floats] | None = None, keep: Collection[str] = ()
) -> onnx.ModelProto:
    """Write the INT8 graph of a full-precision one.

    Products become ``DynamicQuantizeMatMul``, which scales its input over a whole run (so rows depend on what shares it:
    the encoder gives such a graph one text a run). Embedding tables get a scale for each row. The projection stays
    in float32: it is small and decides every row.

    Args:
        model: The graph; it is not changed.
        smoothing: By product, what divides each input channel and multiplies the weights there (SmoothQuant,
            arXiv 2211.10438). *Shape:* ``(inputs,)`` each
        keep: Names of further products that stay in float32.

    Raises:
        ModelFormatError: If the graph has no product with a stored float32 matrix.
    """
    products = find_products(model)
    kept = {*keep, *head_products(model, products)}
    writer = _Int8Writer(model, smoothing or {})
    replaced: dict[str, list[onnx.NodeProto]] = {}  # by the output of the node that goes
    for product in products:
        if product.name not in kept:
            replaced[product.product] = []
            replaced[product.output] = writer.product(product)
    for table in find_tables(model):
        replaced[table.node.output[0]] = writer.table(table)
    nodes = [new for node in model.graph.node for new in replaced.get(_first_output(node), [node])]
    return _with(model, nodes, writer.stored)


class _Int8Writer:
    """Turns parts of a graph into their INT8 form, and keeps the tensors that they need."""

    def __init__(self, model: onnx.ModelProto, smoothing: Mapping[str, Floats]) -> None:
        self._smoothing = smoothing
        self.stored = {tensor.name: tensor for tensor in model.graph.initializer}

    def product(self, product: Product) -> list[onnx.NodeProto]:
        """Quantise one product; its bias goes inside."""
        source, nodes = product.source, []
        weight = numpy_helper.to_array(self.stored[product.weight]).T
        if product.name in self._smoothing:
            factor = self._smoothing[product.name].astype(np.float32)
            divisor = self._store(f"{product.name}.smooth", 1 / factor)
            source = f"{product.name}.smoothed"
            nodes.append(_node("Mul", [product.source, divisor], source))
            weight = weight * factor
        rows, scale = quantize_rows(weight)
        self._store(product.weight, rows.T)
        inputs = [source, product.weight, self._store(f"{product.name}.scale", scale[:, 0]), ""]
        inputs.append(product.bias or "")
        return [*nodes, _node("DynamicQuantizeMatMul", inputs, product.output, MICROSOFT)]

    def table(self, table: Table) -> list[onnx.NodeProto]:
        """Quantise one embedding table, whose rows are picked together with their scales."""
        operation, output, others = table.node.op_type, table.node.output[0], list(table.node.input[1:])
        if f"{table.name}_scale" not in self.stored:
            rows, scale = quantize_rows(numpy_helper.to_array(self.stored[table.name]))
            self._store(table.name, rows)
            self._store(f"{table.name}_scale", scale)
        picked, scales, floats = (f"{output}_{part}" for part in ("int8", "scale", "float"))
        return [
            _node(operation, [table.name, *others], picked),
            _node(operation, [f"{table.name}_scale", *others], scales),
            _node("Cast", [picked], floats, to=TensorProto.FLOAT),
            _node("Mul", [floats, scales], output),
        ]

    def _store(self, name: str, value: NDArray[Any]) -> str:
        self.stored[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name


def _first_output(node: onnx.NodeProto) -> str:
    return node.output[0] if node.output else ""


def _node(
    operation: str, inputs: list[str], output: str, domain: str = "", **attributes: int
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
