"""SmoothQuant factors: activation outliers move into the weights, where a scale for each column absorbs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from laterank.encoding.session import OnnxSession
from laterank.encoding.tokenization import Tokens
from laterank.errors import EncodingError, ModelFormatError
from laterank.export.graph import Floats
from laterank.export.products import Product, feed_forward, find_products
from laterank.export.saving import save_graph
from laterank.runtime import usable_cpus

__all__ = ["STRENGTH", "factors", "smoothing_factors"]

STRENGTH = 0.6
"""How much of an outlier moves: 0 for none, 1 for all; best for inputs that are scaled row by row, too."""
SMALLEST = 1e-5
OBSERVED = "product_inputs"


def factors(largest: Floats, weight: Floats, strength: float = STRENGTH) -> Floats:
    """Balance activations and weights channel by channel: ``max|x|^a / max|w|^(1-a)`` (SmoothQuant, arXiv 2211.10438).

    Args:
        largest: The largest magnitude seen in each input channel. *Shape:* ``(inputs,)``
        weight: *Shape:* ``(outputs, inputs)``
        strength: ``a``.

    Returns:
        What divides each input channel. *Shape:* ``(inputs,)``
    """
    columns = np.abs(weight).max(axis=0)
    balanced = np.maximum(largest, SMALLEST) ** strength / np.maximum(columns, SMALLEST) ** (1 - strength)
    return np.asarray(balanced, dtype=np.float32)


def smoothing_factors(model: onnx.ModelProto, texts: Sequence[Tokens]) -> dict[str, Floats]:
    """Return the factors of both products of each feed-forward part, whose inputs INT8 hurts most.

    Args:
        model: A full-precision graph.
        texts: What to look at, tokenised.

    Raises:
        ModelFormatError: If the graph has no such products, or the inputs of one are not one row a token.
    """
    products = find_products(model)
    chosen = feed_forward(model, products)
    smoothed = [product for product in products if product.name in chosen]
    if not smoothed:
        return {}
    maxima = _input_maxima(model, smoothed, texts)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    return {
        product.name: factors(maxima[product.source], numpy_helper.to_array(stored[product.weight]).T)
        for product in smoothed
    }


def _input_maxima(
    model: onnx.ModelProto, products: Sequence[Product], texts: Iterable[Tokens]
) -> dict[str, Floats]:
    """Return the largest magnitude in each channel of the products' inputs, by the input's name."""
    sizes = {product.source: product.inputs for product in products}
    ends = np.cumsum(list(sizes.values()))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "observed.onnx"
        save_graph(_observed(model, sizes), path)
        session = OnnxSession(path, output=OBSERVED, threads=usable_cpus())
        largest: NDArray[np.float32] = np.zeros(ends[-1], dtype=np.float32)
        for text in texts:
            try:
                [inputs] = session.run(text.ids[None], text.attention[None])
            except (EncodingError, ModelFormatError) as error:
                raise ModelFormatError(
                    f"the inputs of {', '.join(product.name for product in products[:2])} ... are not one row a token, "
                    "which smoothing needs; write the graph from the model's weights with laterank export"
                ) from error
            np.maximum(largest, np.abs(inputs[text.attention]).max(axis=0), out=largest)
    return dict(zip(sizes, np.split(largest, ends[:-1]), strict=True))


def _observed(model: onnx.ModelProto, sizes: Mapping[str, int]) -> onnx.ModelProto:
    """Return the graph with one more output: the named tensors side by side."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.node.append(helper.make_node("Concat", list(sizes), [OBSERVED], axis=-1))
    shape = ["batch", "tokens", sum(sizes.values())]
    observed.graph.output.append(helper.make_tensor_value_info(OBSERVED, TensorProto.FLOAT, shape))
    return observed
