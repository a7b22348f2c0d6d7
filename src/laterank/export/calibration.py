"""SmoothQuant factors: activation outliers move into the weights, where a scale for each column absorbs them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from laterank.encoding.tokenization import Tokens
from laterank.export.graph import Floats
from laterank.export.observing import observed_inputs
from laterank.export.products import Product, feed_forward, state_products

__all__ = ["STRENGTH", "factors", "smoothing_factors"]

STRENGTH = 0.6
"""How much of an outlier moves: 0 for none, 1 for all; best for inputs that are scaled row by row, too."""
SMALLEST = 1e-5


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


def smoothing_factors(
    model: onnx.ModelProto, products: Sequence[Product], texts: Sequence[Tokens]
) -> dict[str, Floats]:
    """Return factors for what multiplies hidden states and for both products of each feed-forward part.

    What multiplies attention's mixed values goes without: INT8 hurts it least. Products of one input share its factors, so that it is
    divided once.

    Args:
        model: A full-precision graph.
        products: Its products whose inputs are one row a token.
        texts: What to look at, tokenised.
    """
    chosen = feed_forward(model, products) | state_products(model, products)
    smoothed = [product for product in products if product.name in chosen]
    if not smoothed:
        return {}
    largest: dict[str, Floats] = {}
    for inputs in observed_inputs(model, smoothed, texts):
        for source, rows in inputs.items():
            seen = np.abs(rows).max(axis=0)
            largest[source] = np.maximum(largest.get(source, seen), seen)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    weights: dict[str, list[Floats]] = {}
    for product in smoothed:
        weights.setdefault(product.source, []).append(numpy_helper.to_array(stored[product.weight]).T)
    of_source = {
        source: factors(largest[source], np.concatenate(matrices)) for source, matrices in weights.items()
    }
    return {product.name: of_source[product.source] for product in smoothed}
