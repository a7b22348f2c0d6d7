"""What a graph multiplies by stored weights, found in graphs of any writer: the products that INT8 makes fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from laterank.errors import ModelFormatError

__all__ = [
    "Product",
    "Table",
    "feed_forward",
    "find_products",
    "find_tables",
    "head_products",
    "second_products",
    "state_products",
]

NORMALISATIONS = {
    "LayerNormalization",
    "SkipLayerNormalization",
    "SimplifiedLayerNormalization",
    "RMSNormalization",
    "ReduceMean",
}
ELEMENTWISE = {"Add", "Sub", "Mul", "Div", "Sqrt", "Pow", "Cast", "Identity"}
"""What stands after the mean in a normalisation that a tracer took apart."""


@dataclass(frozen=True, slots=True)
class Product:
    """``x W + b``: a MatMul with a stored matrix and, where the next node adds one, its bias.

    Attributes:
        name: The matrix's name without ``.weight``.
        source: What is multiplied.
        weight: The stored matrix's name. *Shape of the matrix:* ``(inputs, outputs)``
        bias: The stored bias's name; None where there is none.
        product: The result's name before the bias is added; the MatMul is known by it.
        output: The result's name after it; the same where there is no bias.
        inputs: Numbers in a row of ``x``.
    """

    name: str
    source: str
    weight: str
    bias: str | None
    product: str
    output: str
    inputs: int


@dataclass(frozen=True, slots=True)
class Table:
    """Rows picked out of a stored matrix: word or position embeddings."""

    name: str
    node: onnx.NodeProto


def find_products(model: onnx.ModelProto) -> list[Product]:
    """Return every product with a stored float32 matrix that is used once, in the graph's order.

    Raises:
        ModelFormatError: If there is none.
    """
    stored, readers = _stored(model), _readers(model)
    products = []
    for node in model.graph.node:
        matrix = stored.get(node.input[1]) if node.op_type == "MatMul" else None
        if matrix is None or len(matrix.dims) != 2 or len(readers[node.input[1]]) > 1:
            continue
        output, bias = _bias(node, readers, stored)
        name = matrix.name.removesuffix(".weight")
        products.append(
            Product(name, node.input[0], matrix.name, bias, node.output[0], output, matrix.dims[0])
        )
    if not products:
        kinds = sorted({TensorProto.DataType.Name(tensor.data_type) for tensor in model.graph.initializer})
        raise ModelFormatError(
            f"the graph has no product with a stored float32 matrix (its weights are {', '.join(kinds) or 'elsewhere'}); "
            "quantize a full-precision graph: neither float16 nor one that is INT8 already"
        )
    return products


def find_tables(model: onnx.ModelProto) -> list[Table]:
    """Return the places where rows are picked out of an embedding table as wide as the word embeddings."""
    stored = _stored(model)
    picks = [
        node
        for node in model.graph.node
        if node.op_type in ("Gather", "Slice")
        and node.input[0] in stored
        and len(stored[node.input[0]].dims) == 2
    ]
    widths = {stored[node.input[0]].dims[0]: stored[node.input[0]].dims[1] for node in picks}
    if not widths:
        return []
    width = widths[max(widths)]
    return [Table(node.input[0], node) for node in picks if stored[node.input[0]].dims[1] == width]


def head_products(model: onnx.ModelProto, products: Iterable[Product]) -> set[str]:
    """Return the names of the products after the last normalisation: the projection, small and decisive for every row."""
    makers = _makers(model)
    below = {node.output[0] for node in _before(makers, [output.name for output in model.graph.output])}
    return {product.name for product in products if product.product in below}


def feed_forward(model: onnx.ModelProto, products: Iterable[Product]) -> set[str]:
    """Return the names of both products of each feed-forward part, whose inputs have the outliers.

    The first is what the input of the second comes from.
    """
    products = list(products)
    names = {product.product: product.name for product in products}
    found, makers = second_products(model, products), _makers(model)
    for product in products:
        if product.name in found:
            before = {node.output[0] for node in _before(makers, [product.source])}
            found = found | {names[output] for output in before & names.keys()}
    return found


def state_products(model: onnx.ModelProto, products: Iterable[Product]) -> set[str]:
    """Return the names of the products of normalised hidden states, such as queries, keys and values; the projection is none."""
    products = list(products)
    makers, head = _makers(model), head_products(model, products)
    return {
        product.name
        for product in products
        if product.name not in head and _is_normalised(makers, product.source)
    }


def second_products(model: onnx.ModelProto, products: Iterable[Product]) -> set[str]:
    """Return the names of the products that take more numbers than a hidden state has: the second of each feed-forward part."""
    products = list(products)
    tables, stored = find_tables(model), _stored(model)
    hidden = stored[tables[0].name].dims[1] if tables else min(product.inputs for product in products)
    return {product.name for product in products if product.inputs > hidden}


def _before(makers: dict[str, onnx.NodeProto], names: list[str]) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that lead to some tensors, back to products and normalisations; products are yielded, too."""
    seen, waiting = set(), list(names)
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.output[0] in seen or node.op_type in NORMALISATIONS:
            continue
        seen.add(node.output[0])
        yield node
        if node.op_type != "MatMul":
            waiting += node.input


def _is_normalised(makers: dict[str, onnx.NodeProto], name: str) -> bool:
    """Tell whether a tensor is what a normalisation gives, in one node or taken apart."""
    seen, waiting = set(), [name]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.output[0] in seen:
            continue
        if node.op_type in NORMALISATIONS:
            return True
        seen.add(node.output[0])
        if node.op_type in ELEMENTWISE:
            waiting += node.input
    return False


def _bias(
    node: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]], stored: dict[str, onnx.TensorProto]
) -> tuple[str, str | None]:
    """Return the output of the Add after a product and the stored bias it adds; the product's own where there is none."""
    after = readers.get(node.output[0], [])
    if len(after) != 1 or after[0].op_type != "Add":
        return node.output[0], None
    [other] = [name for name in after[0].input if name != node.output[0]] or [""]
    if other not in stored or len(stored[other].dims) != 1:
        return node.output[0], None
    return after[0].output[0], other


def _stored(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Return the stored float32 tensors by name."""
    return {
        tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT
    }


def _makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


def _readers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for output in model.graph.output:  # is read by the caller
        readers.setdefault(output.name, []).append(onnx.NodeProto())
    return readers
