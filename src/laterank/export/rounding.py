"""Weights to INT8: each row with a scale of its own, and what rounding one number loses is made up for by the next ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from laterank.encoding.tokenization import Tokens
from laterank.errors import EncodingError
from laterank.export.graph import Floats
from laterank.export.observing import observed_inputs
from laterank.export.products import Product

__all__ = ["Rounded", "compensated_rows", "quantize_rows", "rounded_weights"]

Rounded = tuple[NDArray[np.int8], NDArray[Any]]
"""Rows in INT8 and their scales. *Shape:* ``(rows, n)``, ``(rows, 1)``"""

SMALLEST_SCALE = 1e-7
LARGEST = 127
DAMPING = 0.3
"""How much of the inputs' mean square is added to that of each: few texts say little of how inputs go together."""
COLUMNS_AT_ONCE = 64
GRAM_BYTES = 1 << 30
"""The most that the sums of products of inputs may take at one time; the texts are read once for each part of that size."""


def quantize_rows(
    table: Floats, scale_type: type[np.float32 | np.float16] = np.float32, *, largest: int = LARGEST
) -> Rounded:
    """Round each row's numbers to the nearest, with a scale of its own.

    Args:
        table: *Shape:* ``(rows, n)``
        scale_type: What scales are kept as.
        largest: The whole number that a row's largest magnitude becomes.
    """
    scale = _scales(table, largest).astype(scale_type)
    return _nearest(table / scale.astype(np.float32), largest).astype(np.int8), scale


def compensated_rows(weight: Floats, gram: NDArray[np.float64]) -> Rounded:
    """Round a product's weights so that its outputs move least, not the weights (GPTQ, arXiv 2210.17323).

    Column after column is rounded, and those that are left change to make up for it, as far as their inputs go together. The
    loudest inputs come first, while all others are left.

    Args:
        weight: *Shape:* ``(outputs, inputs)``
        gram: ``X^T X`` over inputs that were seen. *Shape:* ``(inputs, inputs)``
    """
    scale = _scales(weight)
    loudest_first = np.argsort(-np.diag(gram), kind="stable")
    damped = gram[np.ix_(loudest_first, loudest_first)]
    damped[np.diag_indices_from(damped)] += DAMPING * np.mean(np.diag(gram)) + SMALLEST_SCALE
    # Row i of this triangle says how what column i loses is shared out among the columns after it.
    shares = np.linalg.cholesky(np.linalg.inv(damped)).T
    left = weight.astype(np.float64)[:, loudest_first]
    whole = np.zeros_like(left)
    for start in range(0, len(shares), COLUMNS_AT_ONCE):
        end = min(start + COLUMNS_AT_ONCE, len(shares))
        lost = np.zeros((len(left), end - start))
        for column in range(start, end):
            whole[:, column] = _nearest(left[:, column] / scale[:, 0])
            error = (left[:, column] - whole[:, column] * scale[:, 0]) / shares[column, column]
            left[:, column + 1 : end] -= np.outer(error, shares[column, column + 1 : end])
            lost[:, column - start] = error
        left[:, end:] -= lost @ shares[start:end, end:]
    rounded = np.empty_like(whole, dtype=np.int8)
    rounded[:, loudest_first] = whole
    return rounded, scale


def rounded_weights(
    model: onnx.ModelProto,
    products: Sequence[Product],
    texts: Sequence[Tokens],
    smoothing: Mapping[str, Floats],
) -> dict[str, Rounded]:
    """Return each product's weights in INT8, times its smoothing factors, by its name.

    Args:
        model: A full-precision graph.
        products: Which of its products; their inputs are one row a token.
        texts: What to look at, tokenised.
        smoothing: By product, what divides each input channel. *Shape:* ``(inputs,)`` each

    Raises:
        EncodingError: If the graph gives NaN or infinite numbers.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    rounded: dict[str, Rounded] = {}
    for group in _groups(products):
        grams = _grams(model, group, texts)
        for alike in _alike(group, smoothing):
            factor = smoothing.get(alike[0].name, np.ones(alike[0].inputs)).astype(np.float64)
            weights = [numpy_helper.to_array(stored[product.weight]).T * factor for product in alike]
            joined = np.concatenate(weights).astype(np.float32)
            rows, scale = compensated_rows(joined, grams[alike[0].source] / np.outer(factor, factor))
            ends = np.cumsum([len(weight) for weight in weights])[:-1]
            parts = zip(alike, np.split(rows, ends), np.split(scale, ends), strict=True)
            rounded |= {product.name: (own_rows, own_scale) for product, own_rows, own_scale in parts}
    return rounded


def _alike(products: Iterable[Product], smoothing: Mapping[str, Floats]) -> list[list[Product]]:
    """Put products together whose inputs are the same, smoothed alike: each sum of inputs is taken apart once."""
    alike: dict[tuple[str, bytes], list[Product]] = {}
    for product in products:
        factor = smoothing.get(product.name)
        alike.setdefault((product.source, b"" if factor is None else factor.tobytes()), []).append(product)
    return list(alike.values())


def _groups(products: Iterable[Product]) -> Iterator[list[Product]]:
    """Yield products in order, as many together as their inputs' sums have room."""
    group: list[Product] = []
    sources: dict[str, int] = {}
    for product in products:
        size = 8 * product.inputs**2
        if group and product.source not in sources and sum(sources.values()) + size > GRAM_BYTES:
            yield group
            group, sources = [], {}
        group.append(product)
        sources[product.source] = size
    if group:
        yield group


def _grams(
    model: onnx.ModelProto, products: Sequence[Product], texts: Iterable[Tokens]
) -> dict[str, NDArray[np.float64]]:
    """Return ``X^T X`` of each input over the texts. *Shape:* ``(inputs, inputs)`` each"""
    grams = {product.source: np.zeros((product.inputs, product.inputs)) for product in products}
    for inputs in observed_inputs(model, products, texts):
        for source, rows in inputs.items():
            wide = rows.astype(np.float64)
            grams[source] += wide.T @ wide
    for source, gram in grams.items():
        if not np.isfinite(gram).all():
            raise EncodingError(f"{source} holds NaN or infinite numbers: the graph is broken, or overflows")
    return grams


def _scales(table: Floats, largest: int = LARGEST) -> Floats:
    """Return what one whole step of each row stands for. *Shape:* ``(rows, 1)``"""
    scales: Floats = np.abs(table).max(axis=1, keepdims=True) / largest + SMALLEST_SCALE
    return scales


def _nearest(steps: NDArray[Any], largest: int = LARGEST) -> NDArray[Any]:
    return np.clip(np.round(steps), -largest, largest)
